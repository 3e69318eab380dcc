FROM python:3.12-slim
RUN pip install --no-cache-dir uv
WORKDIR /link
COPY . .
RUN uv sync --extra demo
