//! Messages, what became of them, and the ways to send them again.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::prelude::*;
use super::{PageOf, Stage, eventually, fails_with, field_refused, names, proved, s, verified, walk};
use crate::receiver::ANSWER;

async fn send(stage: &Stage<'_>, n: u32, event_type: &str) -> String {
    let message = MessageIn::new(s(event_type), json!({"n": n}));
    stage.svix.message().create(stage.app.clone(), message, None).await.expect("sent").id
}

pub(super) async fn messages(stage: &Stage<'_>) -> String {
    let (api, app) = (stage.svix.message(), &stage.app);
    let secret = stage.svix.endpoint().get_secret(app.clone(), stage.endpoint.clone()).await.expect("a secret").key;
    assert!(secret.starts_with("whsec_"));
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret");
    let payload = json!({"id": "inv_42", "amount": 4200, "name": "Zoë"});
    let paid = MessageIn {
        event_id: Some(s("inv-42")),
        tags: Some([s("a"), s("b/c")].into_iter().collect()),
        channels: Some([s("red")].into_iter().collect()),
        ..MessageIn::new(s("invoice.paid"), payload.clone())
    };
    let once = || Some(MessageCreateOptions { with_content: Some(true), idempotency_key: Some(s("key-1")) });
    let sent = api.create(app.clone(), paid.clone(), once()).await.expect("sent");
    assert_eq!((&sent.payload, sent.event_id.as_deref()), (&payload, Some("inv-42")));
    let received = stage.receiver.wait("/main", Some(&sent.id), 1).await;
    assert_eq!(super::json(&received, &[&secret]), payload);
    assert_eq!(received.header("x-from"), Some("sdk"));
    assert_eq!(received.header("authorization"), Some("Bearer hidden"));
    assert_eq!(api.create(app.clone(), paid, once()).await.expect("again").id, sent.id);
    let other = MessageIn::new(s("invoice.paid"), json!({"other": true}));
    fails_with(409, api.create(app.clone(), other.clone(), once()).await);
    field_refused("eventType", api.create(app.clone(), MessageIn::new(s("no type"), json!({})), None).await);
    fails_with(404, api.create(s("nobody"), other, None).await);
    raw_and_due_messages(stage, &secret).await;
    inline_application(stage).await;
    proved("POST /api/v1/app/{app_id}/msg");
    let with = |content| Some(MessageGetOptions { with_content: Some(content) });
    assert_eq!(api.get(app.clone(), sent.id.clone(), with(true)).await.expect("found").payload, payload);
    assert_eq!(api.get(app.clone(), s("inv-42"), with(false)).await.expect("found").payload, json!({}));
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}");
    let filter = MessageListOptions {
        event_types: Some([s("invoice.paid")].into_iter().collect()),
        tag: Some(s("a")),
        channel: Some(s("red")),
        with_content: Some(true),
        ..Default::default()
    };
    let found = api.list(app.clone(), Some(filter)).await.expect("a page").data;
    assert!(matches!(&found[..], [row] if row.id == sent.id && row.payload == payload), "{found:?}");
    let none = MessageListOptions { tag: Some(s("c")), ..Default::default() };
    assert!(api.list(app.clone(), Some(none)).await.expect("a page").data.is_empty());
    let options = |iterator| MessageListOptions { limit: Some(2), iterator, ..Default::default() };
    let ids = walk(async |at| page!(api.list(app.clone(), Some(options(at))))).await;
    assert!(ids.len() == 3 && ids.is_sorted_by(|a, b| a > b) && ids[2] == sent.id, "{ids:?}");
    proved("GET /api/v1/app/{app_id}/msg");
    sent.id
}

async fn raw_and_due_messages(stage: &Stage<'_>, secret: &str) {
    let api = stage.svix.message();
    let raw = MessageIn::new_raw_payload(s("invoice.paid"), s("<paid/>")).with_content_type(s("text/xml"));
    let raw = api.create(stage.app.clone(), raw, None).await.expect("sent");
    let received = stage.receiver.wait("/main", Some(&raw.id), 1).await;
    assert_eq!(verified(&received, &[secret]), b"<paid/>");
    assert_eq!(received.header("content-type"), Some("text/xml"));
    let later = Utc::now() + Duration::from_secs(1);
    let due = MessageIn::new(s("invoice.paid"), json!({"n": 3}));
    let due = MessageIn { deliver_at: Some(names::time(later)), ..due };
    let due = api.create(stage.app.clone(), due, None).await.expect("sent");
    stage.receiver.wait("/main", Some(&due.id), 1).await;
    // What is sent has milliseconds.
    assert!(Utc::now() >= later - TimeDelta::milliseconds(1));
}

/// An application that comes with its first message, and is left alone afterwards.
async fn inline_application(stage: &Stage<'_>) {
    let api = stage.svix.message();
    let message = |name: &str| {
        let application = ApplicationIn { uid: Some(s("inline-1")), ..ApplicationIn::new(s(name)) };
        MessageIn { application: Some(application), ..MessageIn::new(s("invoice.paid"), json!({})) }
    };
    let first = api.create(s("inline-1"), message("Inline"), None).await.expect("sent");
    let second = api.create(s("inline-1"), message("Ignored"), None).await.expect("sent");
    assert_eq!(stage.svix.application().get(s("inline-1")).await.expect("found").name, "Inline");
    let rows = api.list(s("inline-1"), None).await.expect("a page").data;
    assert!(rows.iter().map(|row| &row.id).eq([&second.id, &first.id]), "{rows:?}");
    stage.svix.application().delete(s("inline-1")).await.expect("deleted");
}

pub(super) async fn attempts(stage: &Stage<'_>, message: &str) {
    let (api, app, endpoint) = (stage.svix.message_attempt(), &stage.app, &stage.endpoint);
    stage.receiver.answer("/main", &[500]);
    let failing = send(stage, 4, "invoice.paid").await;
    stage.receiver.wait("/main", Some(&failing), 2).await;
    let content = || MessageAttemptListByMsgOptions { with_content: Some(true), ..Default::default() };
    let both = eventually("two attempts", async || {
        let rows = api.list_by_msg(app.clone(), failing.clone(), Some(content())).await.expect("a page").data;
        <[MessageAttemptOut; 2]>::try_from(rows).ok()
    });
    let [last, first] = both.await;
    assert_eq!((last.response_status_code, first.response_status_code), (200, 500));
    assert_eq!((last.status, first.status), (MessageStatus::Success, MessageStatus::Fail));
    assert_eq!((&*last.response, last.url), (ANSWER, stage.receiver.url("/main")));
    let failed = MessageAttemptListByMsgOptions {
        status: Some(MessageStatus::Fail),
        status_code_class: Some(StatusCodeClass::Code5xx),
        endpoint_id: Some(endpoint.clone()),
        ..Default::default()
    };
    assert_eq!(page!(api.list_by_msg(app.clone(), failing.clone(), Some(failed))).ids, [first.id]);
    proved("GET /api/v1/app/{app_id}/attempt/msg/{msg_id}");
    let with_msg = MessageAttemptListByEndpointOptions { limit: Some(2), with_msg: Some(true), ..Default::default() };
    let page = api.list_by_endpoint(app.clone(), endpoint.clone(), Some(with_msg)).await.expect("a page");
    assert!(page.data[0].id == last.id && !page.done);
    assert_eq!(page.data[0].msg.as_ref().map(|row| &row.id), Some(&failing));
    let options = |iterator| MessageAttemptListByEndpointOptions { limit: Some(2), iterator, ..Default::default() };
    let ids = walk(async |at| page!(api.list_by_endpoint(app.clone(), endpoint.clone(), Some(options(at))))).await;
    assert!(ids.len() == 5 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    proved("GET /api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}");
    let one = api.get(app.clone(), failing.clone(), last.id.clone(), None).await.expect("found");
    assert_eq!((&one.endpoint_id, &one.msg_id, one.status), (endpoint, &failing, MessageStatus::Success));
    fails_with(404, api.get(app.clone(), s(message), last.id, None).await);
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}");
    api.resend(app.clone(), s(message), endpoint.clone(), None).await.expect("sent again");
    stage.receiver.wait("/main", Some(message), 2).await;
    fails_with(404, api.resend(app.clone(), s(message), s("nobody"), None).await);
    proved("POST /api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend");
}

pub(super) async fn attempted(stage: &Stage<'_>, message: &str) {
    let (api, app, endpoint) = (stage.svix.message_attempt(), &stage.app, &stage.endpoint);
    let succeeded = || MessageAttemptListAttemptedMessagesOptions {
        status: Some(MessageStatus::Success),
        with_content: Some(true),
        ..Default::default()
    };
    let found = eventually("four messages", async || {
        let page = api.list_attempted_messages(app.clone(), endpoint.clone(), Some(succeeded())).await;
        Some(page.expect("a page").data).filter(|rows| rows.len() == 4)
    });
    let found = found.await;
    assert!(found.iter().all(|row| row.status == MessageStatus::Success && row.next_attempt.is_none()), "{found:?}");
    assert_eq!((&*found[3].id, found[3].event_id.as_deref()), (message, Some("inv-42")));
    assert_eq!(found[0].payload, json!({"n": 4}));
    let red = MessageAttemptListAttemptedMessagesOptions {
        channel: Some(s("red")),
        event_types: Some([s("invoice.paid")].into_iter().collect()),
        ..Default::default()
    };
    assert_eq!(page!(api.list_attempted_messages(app.clone(), endpoint.clone(), Some(red))).ids, [message]);
    let options =
        |iterator| MessageAttemptListAttemptedMessagesOptions { limit: Some(3), iterator, ..Default::default() };
    let read = async |at| page!(api.list_attempted_messages(app.clone(), endpoint.clone(), Some(options(at))));
    assert!(walk(read).await.iter().eq(found.iter().map(|row| &row.id)));
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/msg");
    let options = MessageAttemptListAttemptedDestinationsOptions { limit: Some(10), ..Default::default() };
    let page = api.list_attempted_destinations(app.clone(), s(message), Some(options)).await.expect("a page");
    let [row] = &page.data[..] else { panic!("one endpoint: {page:?}") };
    assert_eq!((&row.id, row.status, row.uid.as_deref()), (endpoint, MessageStatus::Success, Some("main")));
    assert!(page.done);
    proved("GET /api/v1/app/{app_id}/msg/{msg_id}/endpoint");
}

pub(super) async fn statistics(stage: &Stage<'_>) {
    let (api, app, endpoint) = (stage.svix.endpoint(), &stage.app, &stage.endpoint);
    let stats = eventually("five successes", async || {
        let stats = api.get_stats(app.clone(), endpoint.clone(), None).await.expect("statistics");
        Some(stats).filter(|stats| stats.success >= 5 && stats.sending == 0)
    });
    let stats = stats.await;
    assert_eq!((stats.success, stats.fail, stats.pending), (5, 0, 0));
    let (since, until) = (Utc::now() - TimeDelta::days(2), Utc::now() - TimeDelta::days(1));
    let early = EndpointGetStatsOptions { since: Some(names::time(since)), until: Some(names::time(until)) };
    let early = api.get_stats(app.clone(), endpoint.clone(), Some(early)).await.expect("statistics");
    assert_eq!(early.success, 0);
    proved("GET /api/v1/app/{app_id}/endpoint/{endpoint_id}/stats");
}

/// While an old secret is in its grace period, it signs beside the new one.
pub(super) async fn rotation(stage: &Stage<'_>) {
    let (api, app, endpoint) = (stage.svix.endpoint(), &stage.app, &stage.endpoint);
    let secret = async || api.get_secret(app.clone(), endpoint.clone()).await.expect("a secret").key;
    let rotate = async |key: Option<&str>| {
        let body = EndpointSecretRotateIn { key: key.map(s), ..Default::default() };
        api.rotate_secret(app.clone(), endpoint.clone(), body, None).await
    };
    let old = secret().await;
    let answered = names::rotated(rotate(None).await.expect("rotated"));
    let new = secret().await;
    assert!(new != old && answered.is_none_or(|key| key == new));
    let received = stage.receiver.wait("/main", Some(&send(stage, 5, "invoice.paid").await), 1).await;
    assert_eq!(super::json(&received, &[&new, &old]), json!({"n": 5}));
    let chosen = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    rotate(Some(chosen)).await.expect("rotated");
    assert_eq!(secret().await, chosen);
    let received = stage.receiver.wait("/main", Some(&send(stage, 6, "invoice.paid").await), 1).await;
    assert_eq!(super::json(&received, &[chosen, &new, &old]), json!({"n": 6}));
    field_refused("key", rotate(Some("whsec_x")).await);
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate");
}

pub(super) async fn examples(stage: &Stage<'_>) {
    let (api, app, endpoint) = (stage.svix.endpoint(), &stage.app, &stage.endpoint);
    let example = || EventExampleIn::new(s("invoice.paid"));
    let sent = api.send_example(app.clone(), endpoint.clone(), example(), None).await.expect("sent");
    assert_eq!(sent.event_type, "invoice.paid");
    let secret = api.get_secret(app.clone(), endpoint.clone()).await.expect("a secret").key;
    let body = super::json(&stage.receiver.wait("/main", Some(&sent.id), 1).await, &[&secret]);
    assert!(body["amount"].is_i64() && body["currency"].is_string(), "{body}");
    fails_with(404, api.send_example(app.clone(), s("nobody"), example(), None).await);
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/send-example");
}

/// What failed for good is sent again when its receiver works again.
pub(super) async fn recovery(stage: &Stage<'_>) {
    let (api, app) = (stage.svix.endpoint(), &stage.app);
    let since = Utc::now() - TimeDelta::minutes(5);
    stage.receiver.answer("/broken", &[500, 500]);
    let lost = send(stage, 7, "invoice.lost").await;
    stage.receiver.wait("/broken", Some(&lost), 2).await;
    let attempts = stage.svix.message_attempt();
    let failed = eventually("given up", async || {
        let page = attempts.list_attempted_destinations(app.clone(), lost.clone(), None).await.expect("a page");
        page.data.first().is_some_and(|row| row.status == MessageStatus::Fail).then_some(())
    });
    failed.await;
    let body = RecoverIn::new(names::time(since));
    let task = api.recover(app.clone(), stage.broken.clone(), body.clone(), None).await.expect("a task");
    assert!(task.id.starts_with("qtask_") && task.task == BackgroundTaskType::EndpointRecover, "{task:?}");
    stage.receiver.wait("/broken", Some(&lost), 3).await;
    finished(stage, &task.id).await;
    let backwards = RecoverIn { until: Some(names::time(since - TimeDelta::minutes(1))), ..body };
    let refused = api.recover(app.clone(), stage.broken.clone(), backwards, None).await;
    assert!(matches!(refused, Err(super::Error::Validation(_))), "{refused:?}");
    proved("POST /api/v1/app/{app_id}/endpoint/{endpoint_id}/recover");
}

/// A task that runs beside the requests says when it is done.
async fn finished(stage: &Stage<'_>, id: &str) {
    let api = stage.svix.background_task();
    let done = eventually("the task's end", async || {
        let task = api.get(s(id)).await.expect("found");
        (task.status == BackgroundTaskStatus::Finished).then_some(())
    });
    done.await;
    fails_with(404, api.get(format!("qtask_{}", "1".repeat(27))).await);
    proved("GET /api/v1/background-task/{task_id}");
    let with = |status| BackgroundTaskListOptions { status: Some(status), limit: Some(10), ..Default::default() };
    assert_eq!(page!(api.list(Some(with(BackgroundTaskStatus::Finished)))).ids, [id]);
    assert!(page!(api.list(Some(with(BackgroundTaskStatus::Running)))).ids.is_empty());
    proved("GET /api/v1/background-task");
}

/// What was sent and what was answered can be taken out, each for itself.
pub(super) async fn contents(stage: &Stage<'_>, message: &str) {
    let (api, app) = (stage.svix.message_attempt(), &stage.app);
    let options = MessageAttemptListByMsgOptions { with_content: Some(true), ..Default::default() };
    let attempts = api.list_by_msg(app.clone(), s(message), Some(options)).await.expect("a page").data;
    let attempt = attempts.first().expect("an attempt");
    assert_eq!(attempt.response, ANSWER);
    api.expunge_content(app.clone(), s(message), attempt.id.clone()).await.expect("taken out");
    let emptied = api.get(app.clone(), s(message), attempt.id.clone(), None).await.expect("found");
    assert!(!emptied.response.contains(ANSWER), "{emptied:?}");
    fails_with(404, api.expunge_content(app.clone(), s("nothing"), attempt.id.clone()).await);
    proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content");
    let api = stage.svix.message();
    api.expunge_content(app.clone(), s(message)).await.expect("taken out");
    let content = MessageGetOptions { with_content: Some(true) };
    let emptied = api.get(app.clone(), s(message), Some(content)).await.expect("found");
    assert!(!emptied.payload.to_string().contains("inv_42"), "{emptied:?}");
    fails_with(404, api.expunge_content(app.clone(), s("nothing")).await);
    proved("DELETE /api/v1/app/{app_id}/msg/{msg_id}/content");
}
