from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--pairs", default="", help="only these pairs, e.g. postgresql-to-mysql,mariadb-to-mariadb")
