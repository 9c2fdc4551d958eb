//! Pages, there and back.

use serde_json::Value;

use super::support::TestApi;

fn names(page: &Value, field: &str) -> Vec<String> {
    let rows = page["data"].as_array().into_iter().flatten();
    rows.map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// Walks a list to its end, and back from there; each page is in the order of the list.
async fn walk(api: &TestApi, path: &str, field: &str, limit: usize) -> (Vec<String>, Vec<String>) {
    let glue = if path.contains('?') { '&' } else { '?' };
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut iterator: Option<String> = None;
    let mut page;
    loop {
        let at = iterator.map(|iterator| format!("&iterator={iterator}")).unwrap_or_default();
        page = api.get(&format!("{path}{glue}limit={limit}{at}")).await.expect(200);
        there.extend(names(&page, field));
        iterator = page["iterator"].as_str().map(str::to_owned);
        if page["done"] == true {
            break;
        }
    }
    back.extend(names(&page, field));
    let mut iterator = page["prevIterator"].as_str().map(str::to_owned);
    while let Some(at) = iterator {
        let page = api.get(&format!("{path}{glue}limit={limit}&iterator={at}")).await.expect(200);
        let mut rows = names(&page, field);
        rows.append(&mut back);
        back = rows;
        iterator = page["prevIterator"].as_str().map(str::to_owned).filter(|_| page["done"] == false);
    }
    (there, back)
}

#[tokio::test]
async fn lists_run_there_and_back() {
    let api = TestApi::start().await;
    for i in 0..7 {
        api.post("/app", &format!(r#"{{"name":"{i}"}}"#)).await.expect(201);
    }
    let rising: Vec<String> = (0..7).map(|i| i.to_string()).collect();
    let falling: Vec<String> = rising.iter().rev().cloned().collect();
    for limit in [1, 2, 3, 7, 8] {
        assert_eq!(walk(&api, "/app", "name", limit).await, (rising.clone(), rising.clone()));
        assert_eq!(walk(&api, "/app?order=descending", "name", limit).await, (falling.clone(), falling.clone()));
    }
}

#[tokio::test]
async fn messages_are_newest_first_and_new_ones_disturb_nobody() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    for i in 0..5 {
        api.post("/app/one/msg", &format!(r#"{{"eventType":"t{i}","payload":{{}}}}"#)).await.expect(202);
    }
    let first = api.get("/app/one/msg?limit=2").await.expect(200);
    assert_eq!(names(&first, "eventType"), ["t4", "t3"]);
    api.post("/app/one/msg", r#"{"eventType":"t5","payload":{}}"#).await.expect(202);
    let iterator = first["iterator"].as_str().expect("an iterator");
    let rest = api.get(&format!("/app/one/msg?iterator={iterator}")).await.expect(200);
    assert_eq!(
        (names(&rest, "eventType"), &rest["done"]),
        (["t2", "t1", "t0"].map(str::to_owned).into(), &true.into())
    );
    let prev = first["prevIterator"].as_str().expect("an iterator");
    let new = api.get(&format!("/app/one/msg?iterator={prev}")).await.expect(200);
    assert_eq!((names(&new, "eventType"), &new["done"]), (vec!["t5".to_owned()], &true.into()));
    // Nothing is behind the end: it says where to ask again.
    let end = rest["iterator"].as_str().expect("an iterator");
    let none = api.get(&format!("/app/one/msg?iterator={end}")).await.expect(200);
    assert_eq!((&none["iterator"], &none["prevIterator"], &none["done"]), (&end.into(), &Value::Null, &true.into()));
    let filtered = api.get("/app/one/msg?event_types=t1,t3&with_content=false").await.expect(200);
    assert_eq!(names(&filtered, "eventType"), ["t3", "t1"]);
    api.post("/app", r#"{"name":"Two","uid":"two"}"#).await.expect(201);
    let none = api.get("/app/two/msg").await.expect(200);
    assert_eq!((&none["iterator"], &none["prevIterator"], &none["done"]), (&Value::Null, &Value::Null, &true.into()));
}

#[tokio::test]
async fn endpoints_are_newest_first() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    for i in 0..3 {
        let body = format!(r#"{{"url":"https://example.com/","uid":"{i}"}}"#);
        api.post("/app/one/endpoint", &body).await.expect(201);
    }
    let falling = ["2", "1", "0"].map(str::to_owned).to_vec();
    assert_eq!(walk(&api, "/app/one/endpoint", "uid", 2).await, (falling.clone(), falling));
}

#[tokio::test]
async fn event_types_are_by_name_even_where_it_begins_with_a_hyphen() {
    let api = TestApi::start().await;
    for name in ["b", "-a", "--", "c", "-"] {
        api.post("/event-type", &format!(r#"{{"name":"{name}","description":""}}"#)).await.expect(201);
    }
    let sorted: Vec<String> = ["-", "--", "-a", "b", "c"].map(str::to_owned).to_vec();
    for limit in [1, 2, 5] {
        assert_eq!(walk(&api, "/event-type", "name", limit).await, (sorted.clone(), sorted.clone()));
    }
}

#[tokio::test]
async fn applications_can_be_left_out_by_their_endpoints() {
    let api = TestApi::start().await;
    for name in ["none", "enabled", "disabled", "mixed"] {
        api.post("/app", &format!(r#"{{"name":"{name}","uid":"{name}"}}"#)).await.expect(201);
    }
    api.post("/app/enabled/endpoint", r#"{"url":"https://example.com/"}"#).await.expect(201);
    api.post("/app/disabled/endpoint", r#"{"url":"https://example.com/","disabled":true}"#).await.expect(201);
    api.post("/app/mixed/endpoint", r#"{"url":"https://example.com/","disabled":true}"#).await.expect(201);
    api.post("/app/mixed/endpoint", r#"{"url":"https://example.com/"}"#).await.expect(201);
    for (query, expected) in [
        ("exclude_apps_with_no_endpoints=true", vec!["enabled", "disabled", "mixed"]),
        ("exclude_apps_with_disabled_endpoints=true", vec!["none", "enabled", "mixed"]),
        ("exclude_apps_with_no_endpoints=true&exclude_apps_with_disabled_endpoints=true", vec!["enabled", "mixed"]),
    ] {
        assert_eq!(names(&api.get(&format!("/app?{query}")).await.expect(200), "name"), expected);
    }
}

#[tokio::test]
async fn parameters_of_lists_are_judged() {
    let api = TestApi::start().await;
    api.post("/app", r#"{"name":"One","uid":"one"}"#).await.expect(201);
    let of_another_kind = format!("iterator=msg_{}", "0".repeat(27));
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=251", "limit"),
        ("limit=", "limit"),
        ("limit=-1", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=1&limit=1", "limit"),
        ("order=up", "order"),
        ("iterator=", "iterator"),
        ("iterator=-", "iterator"),
        ("iterator=%00", "iterator"),
        ("iterator=%ff", "iterator"),
        ("iterator=app_1", "iterator"),
        (&of_another_kind, "iterator"),
        ("exclude_apps_with_no_endpoints=1", "exclude_apps_with_no_endpoints"),
    ] {
        api.get(&format!("/app?{query}")).await.expect_invalid(&["query", name]);
    }
    let beyond = format!("/app?iterator=app_{}", "z".repeat(27));
    assert_eq!(api.get(&beyond).await.expect(200)["data"], Value::Array(Vec::new()));
    api.get("/app?limit=250&unknown=%ff").await.expect(200);
    for (query, name) in [
        ("before=now", "before"),
        ("after=2024-01-01", "after"),
        ("channel=a%20b", "channel"),
        ("tag=%ff", "tag"),
        ("event_types=a,,b", "event_types"),
        ("with_content=yes", "with_content"),
    ] {
        api.get(&format!("/app/one/msg?{query}")).await.expect_invalid(&["query", name]);
    }
}
