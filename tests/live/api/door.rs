//! The frame around every route: refusals in one form, traces, files.

use reqwest::Method;

use crate::api::server::{Server, send};

#[tokio::test]
async fn refusals_have_one_form() {
    let server = Server::start().await;
    for (method, path, status, code) in [
        (Method::GET, "/api/v1/nothing", 404, "ROUTE_NOT_FOUND"),
        (Method::POST, "/api/v1/nothing", 404, "ROUTE_NOT_FOUND"),
        (Method::GET, "/nothing.html", 404, "ROUTE_NOT_FOUND"),
        (Method::GET, "/../Cargo.toml", 404, "ROUTE_NOT_FOUND"),
        (Method::GET, "/%2e%2e/Cargo.toml", 404, "ROUTE_NOT_FOUND"),
        (Method::PUT, "/api/v1/sessions", 405, "METHOD_NOT_ALLOWED"),
        (Method::DELETE, "/health", 405, "METHOD_NOT_ALLOWED"),
        (Method::GET, "/api/v1/sessions/%ff", 400, "MALFORMED_REQUEST"),
    ] {
        let answer = send(server.request(method.clone(), path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/json", "{method} {path}");
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{answer:?}");
        assert_eq!(answer.json()["trace_id"].as_str(), Some(answer.header("x-trace-id")));
        assert!(answer.json()["details"].is_object());
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_trace_that_the_caller_began_goes_on() {
    let server = Server::start().await;
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = server.request(Method::GET, "/health/live").header("traceparent", header);
    assert_eq!(send(request).await.header("x-trace-id"), "0af7651916cd43dd8448eb211c80319c");
    server.app.stop().await;
}

#[tokio::test]
async fn metrics_may_have_a_listener_of_their_own() {
    let server = Server::start_with(&[("http.metrics_bind", "127.0.0.1:0")]).await;
    assert_eq!(send(server.request(Method::GET, "/metrics")).await.status, 404);
    let metrics = server.app.addresses().metrics.expect("a listener");
    let scraped = send(server.anybody.get(format!("http://{metrics}/metrics"))).await;
    assert!(scraped.text.contains("cabildo_process_cpu_seconds_total "), "{scraped:?}");
    let nothing_else = send(server.anybody.get(format!("http://{metrics}/health"))).await;
    assert_eq!(nothing_else.code(), "ROUTE_NOT_FOUND");
    server.app.stop().await;
}

#[tokio::test]
async fn the_front_page_is_there_or_says_what_is_missing() {
    let server = Server::start().await;
    let answer = send(server.request(Method::GET, "/")).await;
    let built = std::path::Path::new("web-client/dist/index.html").exists();
    assert_eq!(answer.status, if built { 200 } else { 503 }, "{answer:?}");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let config = send(server.request(Method::GET, "/api/v1/client-config")).await;
    let expected = serde_json::json!({"dev": true, "login_url": null, "sign_in": null});
    assert_eq!(config.json(), expected);
    for (path, ancestors) in [("/docs", "'none'"), ("/signed-in", "'self'")] {
        let answer = send(server.request(Method::GET, path)).await;
        assert_eq!(answer.status, if built { 200 } else { 404 }, "{path}: {answer:?}");
        if built {
            let policy = answer.header("content-security-policy");
            assert!(policy.contains(&format!("frame-ancestors {ancestors}")), "{path}: {policy}");
        }
    }
    server.app.stop().await;
}

#[tokio::test]
async fn browsers_get_a_page_at_an_unknown_address_and_programs_a_code() {
    let server = Server::start().await;
    let built = std::path::Path::new("web-client/dist/not-found.html").exists();
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/nonsense", "/joinn?session=1", "/api/v1/nothing", "/not-found", "/a/b.html"] {
        let asked = |accept| send(server.request(Method::GET, path).header("accept", accept));
        let page = asked(browser).await;
        assert_eq!(page.status, 404, "{path}: {page:?}");
        let varies = page.header("vary").split(',').any(|one| one.trim() == "accept");
        assert!(varies, "{path}: {page:?}");
        if built {
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
            assert_eq!(page.header("cache-control"), "no-store", "{path}");
            assert!(page.header("content-security-policy").contains("default-src 'self'"));
            assert!(page.text.contains("/assets/not-found"), "{path}: {page:?}");
            assert!(!page.text.contains("ROUTE_NOT_FOUND"), "{path}: {page:?}");
        }
        for accept in ["*/*", "application/json", "text/html;q=0, */*"] {
            let code = asked(accept).await;
            assert_eq!((code.status, code.code().as_str()), (404, "ROUTE_NOT_FOUND"), "{path}");
        }
    }
    let posted = server.request(Method::POST, "/nonsense").header("accept", browser);
    assert_eq!(send(posted).await.code(), "ROUTE_NOT_FOUND");
    server.app.stop().await;
}

#[tokio::test]
async fn a_development_server_is_for_its_own_pages_only() {
    let server = Server::start().await;
    let port = server.app.addresses().http.port();
    let body = serde_json::json!({
        "tenant_id": server.tenant.to_string(), "user_id": "maria", "roles": ["moderator"],
        "jkt": "A".repeat(43),
    });
    let token = || server.request(Method::POST, "/dev/token").json(&body);
    // A name of somebody else that resolves to this machine (DNS rebinding).
    for host in ["attacker.example".to_owned(), format!("attacker.example:{port}")] {
        let answer = send(token().header("host", &host)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"), "{answer:?}");
        for path in ["/", "/health", "/api/v1/client-config", "/moderation", "/nothing.js"] {
            let answer = send(server.request(Method::GET, path).header("host", &host)).await;
            assert_eq!(answer.code(), "FORBIDDEN", "{path}: {answer:?}");
        }
    }
    // A page of another site that sends a form or a fetch here.
    for (name, value) in [
        ("origin", "https://attacker.example".to_owned()),
        ("origin", "null".to_owned()),
        ("origin", format!("http://localhost:{}", port ^ 1)),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("sec-fetch-site", "same-site".to_owned()),
    ] {
        let answer = send(token().header(name, &value)).await;
        assert_eq!(answer.code(), "FORBIDDEN", "{name}: {value}: {answer:?}");
    }
    for origin in [format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}")] {
        let own = token().header("origin", &origin).header("sec-fetch-site", "same-origin");
        assert_eq!(send(own).await.status, 200, "{origin}");
    }
    server.app.stop().await;
}
