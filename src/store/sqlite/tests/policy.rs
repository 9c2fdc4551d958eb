//! What is in memory of an environment's policy, as changes are committed.

use super::*;
use crate::model::{EnvPolicy, EnvironmentKind, EventTypeSpec};
use crate::store::command::{AccessChange, EventTypePatch};
use crate::store::snapshots::Snapshots;

async fn policy(snapshots: &Snapshots, env: EnvKey) -> Arc<EnvPolicy> {
    snapshots.policy(env).await.expect("read")
}

#[tokio::test]
async fn only_another_schedule_of_an_event_type_is_another_policy() {
    let mut store = Store::new();
    let Changed::Environment(made) = store.change(Change::Access(AccessChange::CreateEnvironment {
        name: "test".into(),
        kind: EnvironmentKind::Production,
    })) else {
        panic!("no environment")
    };
    let env = EnvKey(made.id.key);
    let snapshots = Snapshots::new(Arc::new(SqliteReader::open(store.options.clone())), 10);
    let before = policy(&snapshots, env).await;
    let named = || "a.b".to_owned();
    let described = |text: &str| EventTypePatch { description: Some(text.into()), ..EventTypePatch::default() };
    let scheduled = |seconds| EventTypePatch { retry_schedule: Some(seconds), ..EventTypePatch::default() };
    let patched = |patch| Change::PatchEventType { env, name: named(), patch };
    let spec = EventTypeSpec::default();
    let same = [
        Change::CreateEventType { env, name: named(), spec: spec.clone() },
        patched(described("one")),
        Change::PutEventType { env, name: named(), spec: spec.clone() },
    ];
    for change in same {
        snapshots.changed(&store.change(change));
        assert!(Arc::ptr_eq(&policy(&snapshots, env).await, &before), "read again for nothing");
    }
    snapshots.changed(&store.change(patched(scheduled(Some(vec![7])))));
    let with = policy(&snapshots, env).await;
    assert_eq!(with.event_types.get("a.b"), Some(&vec![7]));
    snapshots.changed(&store.change(Change::PutEventType { env, name: named(), spec }));
    snapshots.changed(&store.change(patched(scheduled(Some(vec![7])))));
    assert!(Arc::ptr_eq(&policy(&snapshots, env).await, &with), "the schedule stayed");
    snapshots.changed(&store.change(patched(scheduled(None))));
    assert!(policy(&snapshots, env).await.event_types.is_empty());
}
