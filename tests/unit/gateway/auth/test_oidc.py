import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.auth import signing_keys
from gateway.auth.oidc import OpenIdConnect
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError, NotLetIn, PlatformUnavailable
from qcpaas.scheduling import Role, UserInfo
from store.database import Store
from store.people import People

AUDIENCE = "qcpaas"
Door = Callable[..., OpenIdConnect]


@pytest.fixture(scope="module")
def stranger() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def claims(identity_provider: Any) -> dict[str, Any]:
    return {
        "iss": identity_provider.issuer,
        "aud": AUDIENCE,
        "sub": "f3-77",
        "exp": int(time.time()) + 300,
        "preferred_username": "ada",
    }


@pytest.fixture
def door(identity_provider: Any, store: Store) -> Door:
    def opened(**changed: Any) -> OpenIdConnect:
        settings = GatewaySettings(
            auth="oidc",
            **{"oidc_issuer": identity_provider.issuer, "oidc_audience": AUDIENCE, **changed},
        )
        return OpenIdConnect(settings, store)

    return opened


def bearer(token: str) -> str:
    return f"Bearer {token}"


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    """A token that no library would make: HMAC where a key is given, else no signature."""
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    signature = b"" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64(signature)}"


def test_a_valid_token_makes_its_user_at_the_first_login(identity_provider, claims, door, store):
    person = door().person(bearer(identity_provider.token(claims)))
    assert (person.name, person.role) == ("ada", Role.USER)
    kept = People(store).by_identity(identity_provider.issuer, "f3-77")
    assert kept is not None
    assert kept.name == "ada"


def test_elliptic_curves_are_taken_too(identity_provider, claims, door):
    identity_provider.new_key("curve", "ES256")
    assert door().person(bearer(identity_provider.token(claims, "curve"))).name == "ada"


def test_keys_are_asked_for_once(identity_provider, claims, door):
    opened = door()
    for _ in range(5):
        opened.person(bearer(identity_provider.token(claims)))
    assert identity_provider.asked == ["/realm/.well-known/openid-configuration", "/realm/keys"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "it has expired"),
        ({"nbf": int(time.time()) + 86_400}, "it is not valid yet"),
        ({"aud": "another"}, "another audience"),
        ({"iss": "https://elsewhere.example"}, "another provider"),
        ({"exp": None}, "opens nothing"),
        ({"sub": None}, "opens nothing"),
        ({"aud": None}, "opens nothing"),
    ],
)
def test_a_token_that_says_something_else_is_refused(
    identity_provider, claims, door, changed, reason
):
    told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    token = identity_provider.token(told)
    with pytest.raises(NotLetIn, match=reason) as refused:
        door().person(bearer(token))
    assert token not in str(refused.value)


def test_clocks_may_differ_by_less_than_the_leeway(identity_provider, claims, door):
    late = {**claims, "exp": int(time.time()) - 20, "nbf": int(time.time()) + 20}
    assert door().person(bearer(identity_provider.token(late))).name == "ada"


def test_a_forged_token_is_refused(identity_provider, claims, door, stranger):
    forged = jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "first"})
    head, _, signature = identity_provider.token(claims).split(".")
    changed = f"{head}.{b64(json.dumps({**claims, 'sub': 'root'}).encode())}.{signature}"
    for token in (forged, changed):
        with pytest.raises(NotLetIn):
            door().person(bearer(token))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_a_token_without_a_signature_is_refused(identity_provider, claims, door, algorithm):
    token = by_hand({"alg": algorithm, "kid": "first"}, claims, None)
    with pytest.raises(NotLetIn):
        door().person(bearer(token))


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_the_public_key_is_no_secret_to_sign_with(identity_provider, claims, door, form):
    public = identity_provider.keys["first"].public_key()
    key = public.public_bytes(
        getattr(serialization.Encoding, form), serialization.PublicFormat.SubjectPublicKeyInfo
    )
    token = by_hand({"alg": "HS256", "kid": "first"}, claims, key)
    with pytest.raises(NotLetIn, match="algorithm"):
        door().person(bearer(token))


def test_a_key_is_used_with_its_own_algorithm_alone(identity_provider, claims, door):
    token = jwt.encode(
        claims, identity_provider.keys["first"], algorithm="PS256", headers={"kid": "first"}
    )
    with pytest.raises(NotLetIn):
        door().person(bearer(token))


def test_keys_that_a_token_brings_along_are_not_looked_at(
    identity_provider, claims, door, stranger
):
    own = jwt.get_algorithm_by_name("RS256").to_jwk(stranger.public_key(), as_dict=True)
    header = {"kid": "first", "jwk": own, "jku": "http://127.0.0.1:9/keys"}
    with pytest.raises(NotLetIn):
        door().person(bearer(jwt.encode(claims, stranger, algorithm="RS256", headers=header)))


def test_a_new_key_is_found_and_an_old_one_forgotten(identity_provider, claims, door, monkeypatch):
    opened = door(oidc_jwks_url=f"{identity_provider.issuer}/keys")
    opened._keys = signing_keys.SigningKeys(
        identity_provider.issuer, f"{identity_provider.issuer}/keys", refetch_after_s=0.0
    )
    old = identity_provider.token(claims)
    opened.person(bearer(old))
    identity_provider.new_key("second")
    del identity_provider.keys["first"]
    assert opened.person(bearer(identity_provider.token(claims, "second"))).name == "ada"
    with pytest.raises(NotLetIn, match="does not list"):
        opened.person(bearer(old))


def test_made_up_key_ids_do_not_make_the_gateway_ask_again_and_again(
    identity_provider, claims, door
):
    opened = door(oidc_jwks_url=f"{identity_provider.issuer}/keys")
    for number in range(20):
        with pytest.raises(NotLetIn):
            opened.person(bearer(identity_provider.token(claims, "first", kid=f"made-up-{number}")))
    assert len(identity_provider.asked) <= 2


def test_a_silent_provider_is_an_outage_and_no_refusal(identity_provider, claims, door):
    token = identity_provider.token(claims)
    identity_provider._server.shutdown()
    identity_provider._server.server_close()
    opened = door()
    for _ in range(2):
        with pytest.raises(PlatformUnavailable, match="identity provider"):
            opened.person(bearer(token))


@pytest.mark.parametrize(
    ("told", "role"),
    [
        ({"roles": ["administrator"]}, Role.ADMINISTRATOR),
        ({"roles": "owner user"}, Role.OWNER),
        ({"roles": ["admin", "root"]}, Role.USER),
        ({"roles": {"administrator": True}}, Role.USER),
    ],
)
def test_roles_come_from_the_claim(identity_provider, claims, door, told, role):
    token = identity_provider.token({**claims, **told})
    assert door().person(bearer(token)).role is role


@pytest.mark.parametrize("claim", ["realm_access.roles", "https://x.example/roles"])
def test_a_claim_is_found_by_its_path_and_by_its_name(identity_provider, claims, door, claim):
    told = {"realm_access": {"roles": ["owner"]}, "https://x.example/roles": ["owner"]}
    token = identity_provider.token({**claims, **told})
    assert door(oidc_roles_claim=claim).person(bearer(token)).role is Role.OWNER


def test_a_role_that_was_taken_away_is_gone_with_the_next_token(identity_provider, claims, door):
    opened = door()
    opened.person(bearer(identity_provider.token({**claims, "roles": ["administrator"]})))
    assert opened.person(bearer(identity_provider.token(claims))).role is Role.USER


def test_nobody_becomes_another_user_by_choosing_their_name(identity_provider, claims, door, store):
    People(store).keep(UserInfo(name="ada", role=Role.ADMINISTRATOR))
    opened = door()
    first = opened.person(bearer(identity_provider.token(claims)))
    second = opened.person(bearer(identity_provider.token({**claims, "sub": "other"})))
    assert len({"ada", first.name, second.name}) == 3
    assert {first.role, second.role} == {Role.USER}
    assert opened.person(bearer(identity_provider.token(claims))).name == first.name


def test_a_disabled_user_is_not_let_in(identity_provider, claims, door, store):
    opened = door()
    opened.person(bearer(identity_provider.token(claims)))
    People(store).keep(UserInfo(name="ada", disabled=True))
    with pytest.raises(NotLetIn, match="disabled"):
        opened.person(bearer(identity_provider.token(claims)))


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "....", "Basic abc", "é.é.é", "e30.e30.e30", "a" * 20_000]
)
def test_what_is_no_token_is_refused(door, token):
    with pytest.raises(NotLetIn):
        door().person(bearer(token))


@pytest.mark.parametrize(
    "changed",
    [
        {"oidc_issuer": ""},
        {"oidc_audience": ""},
        {"oidc_issuer": "http://idp.example"},
        {"oidc_jwks_url": "http://idp.example/keys"},
        {"oidc_jwks_url": "file:///etc/passwd"},
    ],
)
def test_an_unsafe_configuration_is_refused_at_the_start(door, changed):
    with pytest.raises(InputError):
        door(**changed)
