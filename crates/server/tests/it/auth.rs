//! Keys, users and tokens: who may do what, how often and how long.

use std::net::SocketAddr;
use std::path::Path;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use mynah_server::ServerConfig;
use mynah_server::auth::{Auth, AuthConfig, ConfigUser, NewKey, Scope, Scopes, Store, unix_now};
use serde_json::{Value, json};

use crate::access::get_with;
use crate::support::{Answer, App, TRANSCRIPTIONS, app_with, form, json as post, keys, sound};

const ADMIN: &str = "sk-of-the-operator";

/// Keys of a store in this folder and one of the configuration.
fn stored(folder: &Path) -> Auth {
    let store = Store::open(folder.join("keys.json")).unwrap();
    let config = AuthConfig { api_keys: vec![ADMIN.into()], ..AuthConfig::default() };
    Auth::new(config, Some(store)).unwrap()
}

fn with(auth: Auth) -> App {
    app_with(|config| config.auth = auth)
}

async fn send(app: &App, method: Method, path: &str, key: &str, body: &Value) -> Answer {
    let mut request = post(path, if body.is_null() { String::new() } else { body.to_string() });
    *request.method_mut() = method;
    if !key.is_empty() {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    app.send(request).await
}

async fn get(app: &App, path: &str, key: &str) -> Answer {
    send(app, Method::GET, path, key, &Value::Null).await
}

/// Makes a key through the API and returns it.
async fn made(app: &App, body: Value) -> (u64, String) {
    let answer = send(app, Method::POST, "/v1/admin/keys", ADMIN, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    (answer.json()["id"].as_u64().unwrap(), answer.json()["key"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn without_a_key_nothing_but_probes_answers() {
    let app = with(keys(&[ADMIN]));
    for path in ["/health", "/health/live", "/health/ready", "/v1/cluster/auth"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    for path in
        ["/", "/v1/models", "/v1/models/scripted", "/v1/audio/voices", "/metrics", "/v1/admin/keys", "/nope"]
    {
        let answer = app.get(path).await;
        answer.error(401);
        assert!(
            answer.json()["detail"].as_str().unwrap().starts_with("Could not validate credentials"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let app = with(stored(folder.path()));
    let body =
        json!({"name": "dify", "scopes": ["use"], "requests_per_minute": 9, "expires_at": "2100-01-01"});
    let answer = send(&app, Method::POST, "/v1/admin/keys", ADMIN, &body).await;
    let new = answer.json();
    assert_eq!(answer.status, 201);
    let key = new["key"].as_str().unwrap();
    assert!(key.starts_with("mynah-") && key.len() == 54 && key.starts_with(new["prefix"].as_str().unwrap()));
    assert_eq!((&new["id"], &new["name"]), (&json!(1), &json!("dify")));

    let list = get(&app, "/v1/admin/keys", ADMIN).await;
    assert!(!list.text().contains(key), "{}", list.text());
    let listed = &list.json()[0];
    assert_eq!(listed["scopes"], json!(["use"]));
    assert_eq!(listed["expires_at"], "2100-01-01 00:00:00");
    assert_eq!((&listed["requests_per_minute"], &listed["enabled"]), (&json!(9), &json!(true)));
    assert_eq!(listed["key_prefix"], new["prefix"]);

    assert_eq!(get(&app, "/health/ready", key).await.status, 200);
    get(&app, "/v1/admin/keys", key).await.error(403);
    assert_eq!(
        send(&app, Method::DELETE, "/v1/admin/keys/1", ADMIN, &Value::Null).await.json(),
        json!({"ok": true})
    );
    send(&app, Method::DELETE, "/v1/admin/keys/1", ADMIN, &Value::Null).await.error(404);
    send(&app, Method::DELETE, "/v1/admin/keys/x", ADMIN, &Value::Null).await.error(400);
    get(&app, "/v1/models", key).await.error(401);
}

#[tokio::test]
async fn keys_that_will_not_do_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let app = with(stored(folder.path()));
    for (body, param) in [
        (json!({}), json!("name")),
        (json!({"name": ""}), Value::Null),
        (json!({"name": "a", "key": "short"}), Value::Null),
        (json!({"name": "a", "scopes": ["eat"]}), json!("scopes")),
        (json!({"name": "a", "scopes": "use"}), json!("scopes")),
        (json!({"name": "a", "expires_at": "soon"}), json!("expires_at")),
        (json!({"name": "a", "requests_per_minute": 0}), json!("requests_per_minute")),
    ] {
        let answer = send(&app, Method::POST, "/v1/admin/keys", ADMIN, &body).await;
        assert_eq!(answer.error(400)["param"], param, "{body}");
    }
    send(&app, Method::POST, "/v1/admin/keys", ADMIN, &json!([1])).await.error(400);
    let long = json!({"name": "x".repeat(2_000_000)});
    send(&app, Method::POST, "/v1/admin/keys", ADMIN, &long).await.error(413);
}

#[tokio::test]
async fn without_keys_no_one_can_lock_the_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("keys.json")).unwrap();
    let app = with(Auth::new(AuthConfig::default(), Some(store)).unwrap());
    assert_eq!(app.get("/v1/models").await.status, 200);
    get(&app, "/v1/admin/keys", "").await.error(404);
    send(&app, Method::POST, "/v1/admin/keys", "", &json!({"name": "a"})).await.error(404);
    send(&app, Method::POST, "/token", "", &json!({"username": "a", "password": "b"})).await.error(404);
    assert!(!folder.path().join("keys.json").exists());
}

#[tokio::test]
async fn rights_bound_what_a_key_does() {
    let folder = tempfile::tempdir().unwrap();
    let app = with(stored(folder.path()));
    for (scopes, list, use_, admin) in [
        (json!(["list"]), 200, 403, 403),
        (json!(["use"]), 403, 200, 403),
        (json!(["launch"]), 403, 403, 403),
        (json!(["admin"]), 200, 200, 200),
        (Value::Null, 200, 200, 403),
    ] {
        let (_, key) = made(&app, json!({"name": "k", "scopes": scopes})).await;
        assert_eq!(get(&app, "/v1/models", &key).await.status, list, "{scopes}");
        let mut request = form(TRANSCRIPTIONS, &[("model", "scripted")], Some(&sound()));
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        assert_eq!(app.send(request).await.status, use_, "{scopes}");
        let answer = get(&app, "/v1/admin/keys", &key).await;
        assert_eq!(answer.status, admin, "{scopes}");
        if admin == 403 {
            assert_eq!(answer.error(403)["type"], "permission_error");
            assert_eq!(answer.header("www-authenticate"), "Bearer scope=\"admin\"");
        }
        // A client with a key learns that a path does not exist.
        get(&app, "/nope", &key).await.error(404);
    }
}

#[tokio::test]
async fn keys_expire() {
    let folder = tempfile::tempdir().unwrap();
    let app = with(stored(folder.path()));
    let (_, early) = made(&app, json!({"name": "early", "expires_at": unix_now() - 1})).await;
    let (_, late) = made(&app, json!({"name": "late", "expires_at": unix_now() + 1000})).await;
    let answer = get(&app, "/v1/models", &early).await;
    answer.error(401);
    assert!(answer.json()["detail"].as_str().unwrap().starts_with("API key has expired"));
    assert_eq!(get(&app, "/v1/models", &late).await.status, 200);
}

#[tokio::test]
async fn keys_have_their_rates() {
    let folder = tempfile::tempdir().unwrap();
    let app = with(stored(folder.path()));
    let (_, slow) = made(&app, json!({"name": "slow", "requests_per_minute": 2})).await;
    let (_, other) = made(&app, json!({"name": "other", "requests_per_minute": 2})).await;
    for _ in 0..2 {
        assert_eq!(get(&app, "/v1/models", &slow).await.status, 200);
    }
    let answer = get(&app, "/v1/models", &slow).await;
    assert_eq!(answer.error(429)["code"], "rate_limit_exceeded");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(get(&app, "/v1/models", &other).await.status, 200);
    assert_eq!(get(&app, "/health", &slow).await.status, 200, "probes are not counted");
}

/// As if it came from there.
async fn from(app: &App, address: &str, mut request: Request<Body>) -> Answer {
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    app.send(request).await
}

fn get_request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn addresses_have_their_rate() {
    let app = app_with(|config| config.limits.requests_per_minute_per_address = Some(2));
    for address in ["10.0.0.1:1", "10.0.0.1:2"] {
        assert_eq!(from(&app, address, get_request("/v1/models")).await.status, 200);
    }
    let answer = from(&app, "10.0.0.1:3", get_request("/v1/models")).await;
    assert!(answer.error(429)["message"].as_str().unwrap().contains("requests_per_minute_per_address"));
    assert_eq!(from(&app, "10.0.0.1:3", get_request("/health")).await.status, 200);
    assert_eq!(from(&app, "10.0.0.2:3", get_request("/v1/models")).await.status, 200);
    // One network of IPv6 is one address.
    for (address, status) in [("[2001:db8::1]:1", 200), ("[2001:db8::2]:1", 200), ("[2001:db8::3]:1", 429)] {
        assert_eq!(from(&app, address, get_request("/v1/models")).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn guessing_is_bounded() {
    let guess = |config: &mut ServerConfig| {
        config.auth = users();
        config.limits.failed_logins_per_minute = Some(2);
    };
    let app = app_with(guess);
    let login = |password: &str| post("/token", json!({"username": "ann", "password": password}).to_string());
    for _ in 0..2 {
        from(&app, "10.0.0.1:1", login("guess")).await.error(401);
    }
    let answer = from(&app, "10.0.0.1:1", login("right-password")).await;
    assert!(answer.error(429)["message"].as_str().unwrap().starts_with("Too many failed attempts."));
    assert_eq!(from(&app, "10.0.0.2:1", login("right-password")).await.status, 200);

    let app = app_with(guess);
    let with_key = |key: &str| {
        Request::get("/v1/models")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::empty())
            .unwrap()
    };
    for status in [401, 401, 429] {
        from(&app, "10.0.0.1:1", with_key("sk-guess")).await.error(status);
    }
    assert_eq!(
        from(&app, "10.0.0.1:1", with_key("sk-of-ann-1234567")).await.status,
        200,
        "who has a key gets in"
    );
}

fn users() -> Auth {
    let user = |name: &str, scopes: &[Scope], api_keys: &[&str]| ConfigUser {
        name: name.to_owned(),
        password: "right-password".to_owned(),
        scopes: scopes.iter().copied().collect(),
        api_keys: api_keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    let users = vec![user("ann", &[Scope::Admin], &["sk-of-ann-1234567"]), user("bob", &[Scope::List], &[])];
    let token_secret = Some(b"secret".to_vec());
    Auth::new(AuthConfig { users, token_secret, ..AuthConfig::default() }, None).unwrap()
}

async fn login(app: &App, name: &str, password: &str) -> Answer {
    send(app, Method::POST, "/token", "", &json!({"username": name, "password": password})).await
}

#[tokio::test]
async fn passwords_give_tokens() {
    let app = with(users());
    let answer = login(&app, "ann", "right-password").await.json();
    assert_eq!(answer["token_type"], "bearer");
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!(access.split('.').count(), 3, "a JSON Web Token");
    assert_eq!(get(&app, "/v1/models", access).await.status, 200);

    let bob = login(&app, "bob", "right-password").await.json();
    let bob = bob["access_token"].as_str().unwrap();
    assert_eq!(get(&app, "/v1/models", bob).await.status, 200);
    get(&app, "/v1/admin/keys", bob).await.error(403);

    for (name, password) in [("ann", "wrong"), ("ann", ""), ("eve", "right-password"), ("", "")] {
        let answer = login(&app, name, password).await;
        answer.error(401);
        assert_eq!(answer.json()["detail"], "Incorrect username or password");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let broken = format!("{access}x");
    get(&app, "/v1/models", &broken).await.error(401);
}

#[tokio::test]
async fn refresh_tokens_serve_once() {
    let app = with(users());
    let refresh = async |token: &str| {
        send(&app, Method::POST, "/v1/auth/refresh", "", &json!({"refresh_token": token})).await
    };
    let first = login(&app, "ann", "right-password").await.json();
    let token = first["refresh_token"].as_str().unwrap();
    let second = refresh(token).await.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(get(&app, "/v1/models", second["access_token"].as_str().unwrap()).await.status, 200);
    let again = refresh(token).await;
    again.error(401);
    assert_eq!(again.json()["detail"], "Invalid or expired refresh token");
    let missing = send(&app, Method::POST, "/v1/auth/refresh", "", &json!({})).await;
    missing.error(400);
    assert_eq!(missing.json()["detail"], "refresh_token required");

    let (access, token) =
        (second["access_token"].as_str().unwrap(), second["refresh_token"].as_str().unwrap());
    let body = json!({"refresh_token": token});
    assert_eq!(send(&app, Method::POST, "/v1/auth/logout", access, &body).await.json(), json!({"ok": true}));
    refresh(token).await.error(401);
}

#[tokio::test]
async fn users_of_the_store_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("keys.json")).unwrap();
    store.set_user("ann", "right-password", Scopes::all()).unwrap();
    let file = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
    assert!(file.contains("$argon2id$") && !file.contains("right-password"));

    let auth = Auth::new(AuthConfig::default(), Some(store)).unwrap();
    let app = with(auth.clone());
    let answer = login(&app, "ann", "right-password").await.json();
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!(get(&app, "/v1/models", access).await.status, 200);

    let elsewhere = Store::open(folder.path().join("keys.json")).unwrap();
    elsewhere.remove_user("ann").unwrap();
    auth.reload(AuthConfig::default()).unwrap();
    get(&app, "/v1/models", access).await.error(401);
    app.get("/v1/models").await.error(401);
}

#[tokio::test]
async fn revoking_the_last_key_does_not_open_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let new = || NewKey {
        name: "only".to_owned(),
        key: None,
        scopes: Scopes::default_client(),
        expires_at: None,
        requests_per_minute: None,
    };
    let store = Store::open(&path).unwrap();
    let (key, _) = store.add_key(new()).unwrap();
    store.revoke_key(key.id).unwrap();
    let app = with(Auth::new(AuthConfig::default(), Some(Store::open(&path).unwrap())).unwrap());
    app.get("/v1/models").await.error(401);

    let auth = keys(&[ADMIN]);
    let app = with(auth.clone());
    get(&app, "/v1/models", ADMIN).await;
    auth.reload(AuthConfig::default()).unwrap();
    app.get("/v1/models").await.error(401);
    get(&app, "/v1/models", ADMIN).await.error(401);
}

#[tokio::test]
async fn keys_of_the_configuration_may_be_hashes() {
    let hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let app = with(keys(&[hash]));
    assert_eq!(get(&app, "/v1/models", "abc").await.status, 200);
    get(&app, "/v1/models", hash).await.error(401);
    let wrong = AuthConfig { api_keys: vec!["sha256:12".to_owned()], ..AuthConfig::default() };
    assert!(Auth::new(wrong, None).is_err());
}

#[tokio::test]
async fn keys_can_be_switched_off() {
    let config = AuthConfig { enabled: Some(false), api_keys: vec![ADMIN.into()], ..AuthConfig::default() };
    let app = with(Auth::new(config, None).unwrap());
    assert_eq!(app.get("/v1/models").await.status, 200);
    assert_eq!(app.get("/v1/cluster/auth").await.json(), json!({"auth": false}));
    let forced = AuthConfig { enabled: Some(true), ..AuthConfig::default() };
    with(Auth::new(forced, None).unwrap()).get("/v1/models").await.error(401);
}

#[tokio::test]
async fn secrets_are_not_echoed() {
    let app = with(keys(&[ADMIN]));
    let answer = get_with(&app, "/v1/models", "authorization", "Bearer sk-someones-secret").await;
    assert!(!answer.text().contains("someones"), "{}", answer.text());
}
