//! Tasks over more than what is read at the front of the order of due times, and tasks that fail.

use super::*;
use crate::model::{EndpointKey, Parked, ReplayFilter, SlotSet, TaskAsk};
use crate::store::command::NewTask;

/// More than is read at the front.
const MESSAGES: usize = 3_500;

impl Store {
    /// Publishes messages, and lets their deliveries end so.
    fn parked(&mut self, config: &Arc<AppConfig>, parked: Parked) -> Vec<MessageKey> {
        let mut all = Vec::new();
        for _ in 0..MESSAGES / 500 {
            let batch: Vec<_> = (0..500).map(|_| Command::Publish(Box::new(self.message(config)))).collect();
            let keys: Vec<_> = self.commit(&batch).iter().map(published).collect();
            let settle = |key: &MessageKey| {
                let Command::Settle(mut settle) = self.success(config, *key) else { panic!("no settle") };
                (settle.next, settle.attempt) = (Next::Park(parked), None);
                Command::Settle(settle)
            };
            let settles: Vec<_> = keys.iter().map(settle).collect();
            self.commit(&settles);
            all.extend(keys);
            self.now += 10;
        }
        all
    }

    fn start(&mut self, config: &AppConfig, endpoint: EndpointKey, ask: TaskAsk) {
        let until = self.now + 1;
        self.change(NewTask::to(config.app.env, (config.app.key(), endpoint), ask, (0, until)).into_change());
    }

    /// Slices, one after the other, until tasks are over; how many deliveries they put in line.
    fn run_tasks(&mut self) -> usize {
        let mut all = 0;
        for _ in 0..100 {
            self.now += 7;
            let slice = Maintenance { at: self.now, work: Work::RunTasks { slots: SlotSet::FULL }, rows: 500 };
            let Ok(Done::Maintained(done)) = self.commit(&[Command::Maintain(slice)]).remove(0) else {
                panic!("no slice")
            };
            all += done.rows;
            if !done.more {
                return all;
            }
        }
        panic!("tasks do not end");
    }
}

#[test]
fn what_a_task_has_put_in_line_no_other_puts_there_again_however_much_it_is() {
    let mut store = Store::new();
    let config = store.app();
    let endpoint = config.endpoints[0].key();
    let keys = store.parked(&config, Parked::Held);
    store.start(&config, endpoint, TaskAsk::Recover);
    assert_eq!(store.run_tasks(), MESSAGES);
    for ask in [TaskAsk::BulkReplay(ReplayFilter::default()), TaskAsk::ReplayMissing, TaskAsk::Recover] {
        store.start(&config, endpoint, ask);
        assert_eq!(store.run_tasks(), 0);
    }
    store.change(Change::CreateEndpoint {
        app: config.app.key(),
        uid: None,
        spec: Box::new(EndpointSpec { url: "http://b.example/".into(), ..EndpointSpec::default() }),
        secret: SecretBytes::new(SECRET.to_vec()),
    });
    let newest = "SELECT max(key) FROM endpoint";
    let late = EndpointKey(store.writer.connection.query_row(newest, [], |row| row.get(0)).expect("an endpoint"));
    store.now += 5;
    store.start(&config, late, TaskAsk::ReplayMissing);
    store.start(&config, late, TaskAsk::BulkReplay(ReplayFilter::default()));
    // A resend stands where the task would put the last one.
    let last = *keys.last().expect("a key");
    store.change(Change::Resend { app: config.app.key(), endpoint: late, message: last });
    assert_eq!(store.run_tasks(), MESSAGES);
    let of_late = format!("waiting WHERE endpoint = {} AND manual = 0", late.0);
    assert_eq!(store.count(&of_late), MESSAGES as i64);
    store.start(&config, late, TaskAsk::ReplayMissing);
    assert_eq!(store.run_tasks(), 0);
    assert_eq!(store.count("waiting"), 2 * MESSAGES as i64 + 1);
}

#[test]
fn a_task_that_fails_lets_others_go_on_and_is_given_up() {
    let mut store = Store::new();
    let (bad, good) = (store.app(), store.app());
    for config in [&bad, &good] {
        store.parked(config, Parked::Failed);
    }
    for config in [&bad, &good] {
        store.start(config, config.endpoints[0].key(), TaskAsk::Recover);
        store.now += 1;
    }
    let fault = format!(
        "CREATE TEMP TRIGGER fault BEFORE INSERT ON main.waiting WHEN new.endpoint = {}
           BEGIN SELECT raise(FAIL, 'a fault'); END",
        bad.endpoints[0].key().0
    );
    store.writer.connection.execute_batch(&fault).expect("a trigger");
    let (mut failures, mut moved_at_first) = (0, 0);
    for _ in 0..1_000 {
        store.now += 1_000;
        let slice = Maintenance { at: store.now, work: Work::RunTasks { slots: SlotSet::FULL }, rows: 500 };
        match store.writer.commit(&[Command::Maintain(slice)]) {
            Err(CommitError::Command(_)) => failures += 1,
            Ok(_) if failures == 1 => moved_at_first = store.count("waiting"),
            Ok(_) => {}
            Err(other) => panic!("{other}"),
        }
        if store.count("background_task WHERE status = 0") == 0 {
            break;
        }
    }
    assert_eq!(failures, 5);
    assert!(moved_at_first >= 2_000, "{moved_at_first}: the other goes on while it rests");
    assert_eq!(store.count("waiting"), MESSAGES as i64);
    assert_eq!(store.count("background_task WHERE status = 1"), 1);
    assert_eq!(store.count("background_task WHERE status = 2"), 1);
    assert_eq!(store.count("parked"), MESSAGES as i64, "nothing is lost");
}

#[test]
fn only_the_newest_documents_are_kept() {
    let mut store = Store::new();
    let document = |env: i64, number: i64| {
        let found = Some(format!("document {number}"));
        let env = EnvKey(env);
        NewTask { env, endpoint: None, ask: TaskAsk::Document, since: 0, until: 0, total: None, found }.into_change()
    };
    store.change(document(2, 0));
    for number in 0..12 {
        store.now += 1;
        store.change(document(1, number));
    }
    for table in ["background_task", "task_result"] {
        assert_eq!(store.count(table), 9, "{table}: 8 and that of another environment");
    }
    assert_eq!(store.count("task_result WHERE body IN ('document 3', 'document 11')"), 1, "the oldest go");
    let plan =
        "EXPLAIN QUERY PLAN SELECT key FROM background_task WHERE env = 1 AND kind = 6 ORDER BY key DESC LIMIT 1";
    let plan: String = store.writer.connection.query_row(plan, [], |row| row.get(3)).expect("a plan");
    assert!(plan.contains("background_task_document"), "{plan}");
}
