from __future__ import annotations

import pytest

from link import LazySchema
from link.domain.errors import SettingMissing
from link.infrastructure.settings import from_environment, source_settings, timeout_settings, tls_settings

NOTHING = {"port": None, "user": None, "password": None, "backend": None, "database_name": None, "use_tls": None}


@pytest.fixture
def environment(monkeypatch):
    """Set what the link user sets, and a local server's settings that must not leak."""
    values = {"LINK_USER": "lou", "LINK_PASS": "from-environment", "LINK_OUTBOUND": "out"}
    local = {
        "DJ_PORT": "4711",
        "DJ_BACKEND": "postgresql",
        "DJ_HOST": "here",
        "DJ_USER": "me",
        "DJ_PASS": "mine",
        "DJ_USE_TLS": "1",
    }
    for name, value in (values | local).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_environment_completes_what_was_not_said(environment):
    """LINK_USER and LINK_PASS are taken, and of the local server's DJ_ variables nothing."""
    found = source_settings("there", **NOTHING)
    assert (found.user, found.password, found.host) == ("lou", "from-environment", "there")
    assert (found.backend, found.port, found.database_name, found.use_tls) == ("mysql", 3306, None, None)


def test_an_argument_beats_the_environment(environment):
    """What is said explicitly counts, an empty password included."""
    said = {"port": 1, "user": "u", "password": "", "backend": "postgresql", "database_name": "d", "use_tls": False}
    found = source_settings("there", **said)
    assert (found.port, found.user, found.password, found.backend) == (1, "u", "", "postgresql")
    assert (found.database_name, found.use_tls) == ("d", False)


@pytest.mark.parametrize(("backend", "port"), [(None, 3306), ("mysql", 3306), ("postgresql", 5432)])
def test_each_backend_has_its_standard_port(environment, backend, port):
    """Without a port it is the backend's own, and one in the host counts."""
    assert source_settings("there", **{**NOTHING, "backend": backend}).port == port
    assert source_settings("there:99", **{**NOTHING, "backend": backend}).port == 99


def test_an_unknown_backend_is_refused(environment):
    """A misspelled backend names those that exist."""
    with pytest.raises(ValueError, match="postgresql"):
        source_settings("there", **{**NOTHING, "backend": "postgres"})


@pytest.mark.parametrize("variable", ["LINK_USER", "LINK_PASS"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_setting_names_its_variable(environment, variable, empty):
    """A variable that is not set, or empty, is named by the error, as is the server."""
    environment.setenv(variable, "") if empty else environment.delenv(variable)
    with pytest.raises(SettingMissing, match=variable) as caught:
        source_settings("there", **NOTHING)
    assert (caught.value.variable, caught.value.server) == (variable, "there")


def test_a_password_is_in_no_repr(environment):
    """Settings can be printed."""
    assert "from-environment" not in repr(source_settings("there", **NOTHING))


def test_the_outbound_schema_comes_from_the_environment(environment):
    """LINK_OUTBOUND is read where it is needed."""
    assert from_environment("outbound", "LINK_OUTBOUND", "there") == "out"


def test_a_ca_means_verified(environment, tmp_path):
    """A CA's file, an argument before LINK_TLS_CA, is what PyMySQL and libpq are told; without one nothing changes."""
    one, other = tmp_path / "one.pem", tmp_path / "other.pem"
    for file in (one, other):
        file.touch()
    assert [tls_settings(said, None) for said in (None, True, False)] == [None, True, False]
    environment.setenv("LINK_TLS_CA", str(one))
    assert [tls_settings(said, None) for said in (None, True, False)] == [{"ca": str(one)}, {"ca": str(one)}, False]
    assert tls_settings(None, str(other)) == {"ca": str(other)}
    assert tls_settings({"cert": "c", "key": "k"}, str(other)) == {"cert": "c", "key": "k", "ca": str(other)}
    assert tls_settings({"cert": "c"}, None) == {"cert": "c"}


def test_a_ca_that_cannot_be_meant_is_refused(tmp_path):
    """No such file, TLS switched off beside it, or a server that Link does not connect to: none is silently ignored."""
    with pytest.raises(ValueError, match=r"no CA file.*missing\.pem"):
        tls_settings(None, str(tmp_path / "missing.pem"))
    with pytest.raises(ValueError, match="without TLS"):
        tls_settings(False, str(tmp_path))
    for options in ({"use_tls": True}, {"tls_ca": "x"}):
        with pytest.raises(ValueError, match=r"database\.use_tls"):
            LazySchema("mine", **options)


def test_the_time_limit(environment):
    """An argument beats LINK_TIMEOUT, which beats an hour; what is no number of seconds is refused."""
    assert (timeout_settings(None), timeout_settings(5)) == (3600.0, 5.0)
    environment.setenv("LINK_TIMEOUT", "90")
    assert (timeout_settings(None), timeout_settings(5)) == (90.0, 5.0)
    for nonsense in (0, -1, float("inf"), float("nan"), "soon"):
        with pytest.raises(ValueError, match="LINK_TIMEOUT"):
            timeout_settings(nonsense)


@pytest.mark.parametrize(
    ("host", "found"),
    [("::1", ("::1", 3306)), ("[::1]", ("::1", 3306)), ("[fe80::2]:77", ("fe80::2", 77)), ("there:99", ("there", 99))],
)
def test_hosts_of_every_form(environment, host, found):
    """An IPv6 address stands bare, or in brackets before a port."""
    settings = source_settings(host, **NOTHING)
    assert (settings.host, settings.port) == found


def test_a_port_that_is_no_number_is_refused(environment):
    """The error shows the host as it was given."""
    with pytest.raises(ValueError, match="there:x"):
        source_settings("there:x", **NOTHING)


def test_a_password_has_no_repr(environment):
    """Verbose tracebacks print the repr of local variables; drivers still get the text."""
    secret = source_settings("there", **{**NOTHING, "password": "hush"}).password
    assert (secret == "hush", "hush" in repr(secret), "hush" in repr({"password": secret})) == (True, False, False)
