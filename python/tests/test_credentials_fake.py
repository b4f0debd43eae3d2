"""Tokens: where they come from, and to whom they are shown."""

import json

import pytest
from test_fs_fake import FILES

import ingot
from ingot import credentials
from ingot.hub import Hub
from ingot.reference import parse
from ingot.wire import Wire

TOKEN = "hf_theTokenOfTheTests"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Nothing of whoever runs the tests is found."""
    for name in ("INGOT_TOKEN", "INGOT_TOKEN_FILE", "INGOT_AGENT_TOKEN_FILE", "INGOT_INSECURE", "INGOT_CA_FILE", "INGOT_AGENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def keep(tmp_path, address, mode=0o600, **entry):
    path = tmp_path / "config" / "ingot" / "credentials.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"registries": {credentials.origin(address): entry}}))
    path.chmod(mode)
    return path


def test_sources(tmp_path, monkeypatch):
    at = "http://127.0.0.1:7070"
    assert credentials.shown(at, credentials.REGISTRY) == ""
    keep(tmp_path, at, token="kept")
    assert credentials.shown(at + "/path", credentials.REGISTRY) == "kept"
    named = tmp_path / "token"
    named.write_text("\n named \n")
    monkeypatch.setenv("INGOT_TOKEN_FILE", str(named))
    assert credentials.shown(at, credentials.REGISTRY) == "named"
    named.write_text("renewed")
    assert credentials.shown(at, credentials.REGISTRY) == "renewed"
    monkeypatch.setenv("INGOT_TOKEN", "said")
    assert credentials.shown(at, credentials.REGISTRY) == "said"
    assert credentials.shown(at, credentials.AGENT) == ""
    assert credentials.shown(at, credentials.ELSEWHERE) == ""
    assert credentials.shown("/run/agent.sock", credentials.REGISTRY) == ""
    monkeypatch.setenv("INGOT_AGENT_TOKEN_FILE", str(named))
    assert credentials.shown(at, credentials.AGENT) == "renewed"
    assert credentials.shown("/run/agent.sock", credentials.AGENT) == ""


def test_one_origin(tmp_path):
    keep(tmp_path, "https://Models.example:443/x", token="kept")
    assert credentials.shown("https://models.example", credentials.REGISTRY) == "kept"
    for other in ("https://models.example:444", "http://models.example", "https://a.models.example", "https://models.example.evil"):
        assert credentials.shown(other, credentials.REGISTRY) == ""


@pytest.mark.parametrize("address", ["http://models.example", "http://192.0.2.1:7070", "http://localhost.example", "http://[2001:db8::1]"])
def test_plain_text(tmp_path, monkeypatch, address):
    monkeypatch.setenv("INGOT_TOKEN", TOKEN)
    with pytest.raises(PermissionError, match="plain text") as e:
        credentials.shown(address, credentials.REGISTRY)
    assert TOKEN not in str(e.value)
    monkeypatch.setenv("INGOT_INSECURE", "true")
    assert credentials.shown(address, credentials.REGISTRY) == TOKEN
    monkeypatch.delenv("INGOT_INSECURE")
    keep(tmp_path, address, token="kept", insecure=True)
    assert credentials.shown(address, credentials.REGISTRY) == TOKEN


def test_what_cannot_be_used(tmp_path, monkeypatch):
    at = "http://127.0.0.1:7070"
    for mode in (0o640, 0o604, 0o620):
        keep(tmp_path, at, mode, token=TOKEN)
        with pytest.raises(PermissionError, match="chmod 600"):
            credentials.shown(at, credentials.REGISTRY)
    for text in ("", "[]", '{"registries": 7}', "{", "[" * 5000, json.dumps({"registries": {at: {"token": "two words"}}})):
        keep(tmp_path, at).write_text(text)
        with pytest.raises(PermissionError):
            credentials.shown(at, credentials.REGISTRY)
    for token in ("two words", "a\r\nHost: b", "x" * (16 << 10) + "x"):
        monkeypatch.setenv("INGOT_TOKEN", token)
        with pytest.raises(PermissionError, match="INGOT_TOKEN") as e:
            credentials.shown(at, credentials.REGISTRY)
        assert "words" not in str(e.value)
    monkeypatch.delenv("INGOT_TOKEN")
    monkeypatch.setenv("INGOT_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(PermissionError, match="none"):
        credentials.shown(at, credentials.REGISTRY)
    (tmp_path / "none").write_text("\n")
    with pytest.raises(PermissionError, match="no token in"):
        credentials.shown(at, credentials.REGISTRY)


def test_a_registry_that_wants_a_token(tmp_path, monkeypatch, fake_hub):
    hub = fake_hub(token=TOKEN)
    hub.push("acme/tiny", FILES)
    with pytest.raises(PermissionError, match="Invalid credentials.*ingot login"):
        ingot.resolve("acme/tiny", registry=hub.address)
    keep(tmp_path, hub.address, token=TOKEN)
    path = ingot.snapshot_download("acme/tiny", registry=hub.address, cache_dir=tmp_path)
    assert path
    monkeypatch.setenv("INGOT_TOKEN", "hf_another")
    with pytest.raises(PermissionError):
        ingot.resolve("acme/tiny", registry=hub.address)


def test_nobody_else_gets_it(tmp_path, monkeypatch, fake_hub):
    """Neither where a registry sends, nor an agent, is shown the token of the registry."""
    hub, other = fake_hub("redirect", token=TOKEN), fake_hub()
    for one in (hub, other):
        one.push("acme/tiny", FILES)
    monkeypatch.setenv("INGOT_TOKEN", TOKEN)
    wire = Wire(hub.address)
    with wire.elsewhere("GET", other.address + "/api/models") as reply:
        assert reply.status == 200
    with wire.elsewhere("GET", hub.address + "/api/models") as reply:
        assert reply.status == 200
    Hub(other.address, agent=True).revision(parse("acme/tiny"))
    assert other.shown == [None] * len(other.shown)
    agent = tmp_path / "agent"
    agent.write_text("hf_theTokenOfTheAgent")
    monkeypatch.setenv("INGOT_AGENT_TOKEN_FILE", str(agent))
    Hub(other.address, agent=True).revision(parse("acme/tiny"))
    assert other.shown[-1] == "Bearer hf_theTokenOfTheAgent"


def test_a_signed_request_keeps_its_own(monkeypatch, fake_hub):
    hub = fake_hub()
    monkeypatch.setenv("INGOT_TOKEN", TOKEN)
    with Wire(hub.address).elsewhere("GET", hub.address + "/api/models", None, {"authorization": "Bearer grant"}):
        assert hub.shown == ["Bearer grant"]
