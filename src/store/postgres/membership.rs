//! Who holds which slots: leases, renewals, taking over from who is gone, and sharing out evenly.
//!
//! Every node looks at the same picture at each heartbeat; whoever has the membership lock mends it. Slots
//! that nobody holds are given at once; one that another holds is only marked as wanted, and its holder hands
//! it over when nothing of it is in flight.

use std::collections::BTreeMap;

use super::notice::Bulletin;
use super::session::{Session, SessionError};
use super::standing::{MEMBERSHIP_LOCK, Tenure};
use crate::model::{SLOTS, Slot, SlotSet};
use crate::store::sql::db::Value;

/// A node as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    /// Its lease holds, and it is not leaving.
    takes: bool,
    /// Its lease holds.
    lives: bool,
    epoch: i64,
}

/// Who holds a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Held {
    by: Option<u16>,
    wanted: Option<u16>,
}

/// What a heartbeat says.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Slots that are this node's.
    pub own: SlotSet,
    /// Slots of this node that another is to have.
    pub wanted: SlotSet,
    /// The version of the configuration.
    pub configuration: i64,
    /// Nodes whose lease holds.
    pub nodes: usize,
    /// Those of them that take slots.
    pub takers: usize,
}

/// Renews the lease of this node and looks who holds what; `None` where another node has taken over. Mends
/// the sharing where nobody else is about to.
pub(in crate::store) fn heartbeat(
    session: &Session,
    tenure: &Tenure,
    lease_s: u64,
) -> Result<Option<View>, SessionError> {
    let alive = session.prepare("SELECT expires_at > now() FROM lease WHERE number = ?")?;
    let alive = session.query(&alive, &[Value::Integer(tenure.number.into())])?;
    let was_alive = alive.first().map_or(Ok(0), |row| row.integer(0))? != 0;
    let renew = session.prepare(
        "UPDATE lease SET expires_at = now() + make_interval(secs => CAST(?3 AS integer))
         WHERE number = ?1 AND EXISTS (SELECT 1 FROM node WHERE number = ?1 AND epoch = ?2)",
    )?;
    let own = [Value::Integer(tenure.number.into()), Value::Integer(tenure.epoch), Value::Integer(lease_s as i64)];
    if session.execute(&renew, &own)? == 0 {
        return Ok(None);
    }
    // After an outage all leases have run out: whoever is back first leaves the others time to renew theirs.
    if was_alive && let Some(mended) = mend(session)? {
        return Ok(Some(view(session, tenure, &mended)?));
    }
    let (members, held) = read(session)?;
    view(session, tenure, &(members, held)).map(Some)
}

type Picture = (BTreeMap<u16, Member>, [Held; SLOTS]);

fn view(session: &Session, tenure: &Tenure, (members, held): &Picture) -> Result<View, SessionError> {
    let configuration = session.query(&session.prepare("SELECT version FROM configuration WHERE sole = 0")?, &[])?;
    let mut view = View {
        configuration: configuration.first().map_or(Ok(0), |row| row.integer(0))?,
        nodes: members.values().filter(|member| member.lives).count(),
        takers: members.values().filter(|member| member.takes).count(),
        ..View::default()
    };
    for (slot, held) in (0..=u8::MAX).map(Slot).zip(held) {
        if held.by == Some(tenure.number) {
            view.own.insert(slot);
            if held.wanted.is_some() {
                view.wanted.insert(slot);
            }
        }
    }
    Ok(view)
}

fn read(session: &Session) -> Result<Picture, SessionError> {
    let members = session.prepare(
        "SELECT node.number, expires_at > now() AND NOT leaving, expires_at > now(), epoch
         FROM node JOIN lease ON lease.number = node.number",
    )?;
    let mut known = BTreeMap::new();
    for row in session.query(&members, &[])? {
        let member = Member { takes: row.integer(1)? != 0, lives: row.integer(2)? != 0, epoch: row.integer(3)? };
        known.insert(row.integer(0)? as u16, member);
    }
    let mut held = [Held::default(); SLOTS];
    let slots = session.prepare("SELECT slot, coalesce(node, -1), coalesce(wanted, -1) FROM slot")?;
    for row in session.query(&slots, &[])? {
        if let Some(place) = held.get_mut(row.integer(0)? as usize) {
            *place = Held { by: u16::try_from(row.integer(1)?).ok(), wanted: u16::try_from(row.integer(2)?).ok() };
        }
    }
    Ok((known, held))
}

/// Takes over from nodes that are gone and shares out evenly; the picture after it. Nothing where all is as
/// it should be, or another node is at it.
fn mend(session: &Session) -> Result<Option<Picture>, SessionError> {
    let picture = read(session)?;
    if changes(&picture).is_empty() {
        return Ok(None);
    }
    session.batch("BEGIN")?;
    let mended = mend_in_transaction(session);
    session.batch(if mended.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    mended
}

fn mend_in_transaction(session: &Session) -> Result<Option<Picture>, SessionError> {
    let lock = session.prepare(&format!("SELECT pg_try_advisory_xact_lock({MEMBERSHIP_LOCK})"))?;
    if session.query(&lock, &[])?.first().map_or(Ok(0), |row| row.integer(0))? == 0 {
        return Ok(None);
    }
    let (members, mut held) = read(session)?;
    // Who is gone writes nothing any more. This waits for a transaction of it that is under way.
    let fence = session.prepare(
        "UPDATE node SET epoch = nextval('node_epoch') WHERE number = ? AND epoch = ?
           AND EXISTS (SELECT 1 FROM lease WHERE lease.number = node.number AND expires_at <= now())",
    )?;
    for (number, member) in members.iter().filter(|(_, member)| !member.lives) {
        if held.iter().any(|held| held.by == Some(*number)) {
            let gone = [Value::Integer((*number).into()), Value::Integer(member.epoch)];
            if session.execute(&fence, &gone)? == 0 {
                // It has renewed meanwhile.
                return Ok(None);
            }
        }
    }
    let give = session.prepare(
        "UPDATE slot SET node = CAST(?2 AS smallint), wanted = CAST(?3 AS smallint)
         WHERE slot = ?1 AND node IS NOT DISTINCT FROM CAST(?4 AS smallint)
           AND wanted IS NOT DISTINCT FROM CAST(?5 AS smallint)",
    )?;
    let number = |number: Option<u16>| number.map_or(Value::Null, |number| Value::Integer(number.into()));
    let changed = changes(&(members.clone(), held));
    for (slot, now) in &changed {
        let was = held[slot.index()];
        let values = [number(now.by), number(now.wanted), number(was.by), number(was.wanted)];
        let values: Vec<Value<'_>> = std::iter::once(Value::Integer(slot.0.into())).chain(values).collect();
        // A hand-over that came between counts; the next heartbeat sees it.
        if session.execute(&give, &values)? == 1 {
            held[slot.index()] = *now;
        }
    }
    if !changed.is_empty() {
        Bulletin::Slots.send(session)?;
    }
    Ok(Some((members, held)))
}

/// What has to change so that each living node has an even share: as little as possible.
fn changes((members, held): &Picture) -> Vec<(Slot, Held)> {
    let takers: Vec<u16> = members.iter().filter(|(_, member)| member.takes).map(|(number, _)| *number).collect();
    let lives = |number: u16| members.get(&number).is_some_and(|member| member.lives);
    let is_taker = |number: u16| members.get(&number).is_some_and(|member| member.takes);
    // Whoever holds a slot, or is to have it, counts as having it.
    let mut target: Vec<Option<u16>> =
        held.iter().map(|held| held.wanted.filter(|by| is_taker(*by)).or(held.by).filter(|by| is_taker(*by))).collect();
    if !takers.is_empty() {
        share(&takers, &mut target);
    }
    let mut changed = Vec::new();
    for (slot, (held, target)) in (0..=u8::MAX).map(Slot).zip(held.iter().zip(target)) {
        let now = match held.by.filter(|by| lives(*by)) {
            Some(by) => Held { by: Some(by), wanted: target.filter(|target| *target != by) },
            None => Held { by: target, wanted: None },
        };
        if now != *held {
            changed.push((slot, now));
        }
    }
    changed
}

/// Gives each taker as many slots as any other, or one more, and leaves where they are as many as it can.
fn share(takers: &[u16], target: &mut [Option<u16>]) {
    let (even, more) = (target.len() / takers.len(), target.len() % takers.len());
    let mut counts: BTreeMap<u16, usize> = takers.iter().map(|taker| (*taker, 0)).collect();
    for by in target.iter().flatten() {
        *counts.entry(*by).or_default() += 1;
    }
    // Those that have most keep the one more.
    let mut by_count: Vec<(u16, usize)> = counts.iter().map(|(taker, count)| (*taker, *count)).collect();
    by_count.sort_by_key(|(taker, count)| (std::cmp::Reverse(*count), *taker));
    let mut room: BTreeMap<u16, usize> =
        by_count.iter().enumerate().map(|(i, (taker, _))| (*taker, even + usize::from(i < more))).collect();
    for by in target.iter_mut() {
        match by.and_then(|by| room.get_mut(&by)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => *by = None,
        }
    }
    let mut free = room.into_iter().flat_map(|(taker, left)| std::iter::repeat_n(taker, left));
    for by in target.iter_mut().filter(|by| by.is_none()) {
        *by = free.next();
    }
}

/// Hands a slot over in which nothing is in flight any more.
pub(in crate::store) fn hand_over(session: &Session, tenure: &Tenure, slots: &SlotSet) -> Result<(), SessionError> {
    let hand = session.prepare(
        "UPDATE slot SET node = wanted, wanted = NULL WHERE slot = ?1 AND node = ?2 AND wanted IS NOT NULL
           AND EXISTS (SELECT 1 FROM node WHERE number = ?2 AND epoch = ?3)",
    )?;
    session.batch("BEGIN")?;
    let handed = (|| {
        for slot in slots.iter() {
            let own = [slot.0.into(), tenure.number.into(), tenure.epoch].map(Value::Integer);
            session.execute(&hand, &own)?;
        }
        Bulletin::Slots.send(session)
    })();
    session.batch(if handed.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    handed
}

/// This node hands over all it has, and takes nothing more.
pub(in crate::store) fn leave(session: &Session, tenure: &Tenure) -> Result<(), SessionError> {
    let leaving = session.prepare("UPDATE lease SET leaving = TRUE WHERE number = ?")?;
    session.execute(&leaving, &[Value::Integer(tenure.number.into())])?;
    Ok(())
}

/// This node is gone: nobody has to wait for the end of its lease.
pub(in crate::store) fn end(session: &Session, tenure: &Tenure) -> Result<(), SessionError> {
    let end = session.prepare(
        "UPDATE lease SET expires_at = now() WHERE number = ?1
           AND EXISTS (SELECT 1 FROM node WHERE number = ?1 AND epoch = ?2)",
    )?;
    session.execute(&end, &[Value::Integer(tenure.number.into()), Value::Integer(tenure.epoch)])?;
    Bulletin::Slots.send(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(members: &[(u16, bool, bool)], held: impl Fn(usize) -> Held) -> Picture {
        let members =
            members.iter().map(|(number, takes, lives)| (*number, Member { takes: *takes, lives: *lives, epoch: 1 }));
        (members.collect(), std::array::from_fn(held))
    }

    fn apply((_, held): &mut Picture, changed: &[(Slot, Held)]) {
        for (slot, now) in changed {
            held[slot.index()] = *now;
        }
    }

    fn counts((_, held): &Picture, of: impl Fn(&Held) -> Option<u16>) -> BTreeMap<u16, usize> {
        let mut counts = BTreeMap::new();
        for by in held.iter().filter_map(of) {
            *counts.entry(by).or_default() += 1;
        }
        counts
    }

    #[test]
    fn the_first_node_gets_everything_and_the_next_ones_an_even_share() {
        let mut one = picture(&[(1, true, true)], |_| Held::default());
        let changed = changes(&one);
        apply(&mut one, &changed);
        assert_eq!(counts(&one, |held| held.by), BTreeMap::from([(1, 256)]));
        assert_eq!(changes(&one), []);
        let mut three = picture(&[(1, true, true), (2, true, true), (3, true, true)], |i| one.1[i]);
        let changed = changes(&three);
        assert_eq!(changed.len(), 256 - 86, "no more is moved than has to be");
        apply(&mut three, &changed);
        assert_eq!(counts(&three, |held| held.by), BTreeMap::from([(1, 256)]), "nothing is taken from who lives");
        assert_eq!(counts(&three, |held| held.wanted.or(held.by)), BTreeMap::from([(1, 86), (2, 85), (3, 85)]));
        assert_eq!(changes(&three), [], "and then it is left alone");
    }

    #[test]
    fn who_is_gone_loses_all_at_once_and_who_leaves_is_asked() {
        let third = |i: usize| Held { by: Some(u16::try_from(i % 3).expect("small")), wanted: None };
        let mut gone = picture(&[(0, true, true), (1, true, true), (2, false, false)], third);
        let changed = changes(&gone);
        apply(&mut gone, &changed);
        assert_eq!(counts(&gone, |held| held.by), BTreeMap::from([(0, 128), (1, 128)]));
        let mut leaving = picture(&[(0, true, true), (1, true, true), (2, false, true)], third);
        let changed = changes(&leaving);
        assert_eq!(changed.len(), 85);
        apply(&mut leaving, &changed);
        assert_eq!(counts(&leaving, |held| held.by), BTreeMap::from([(0, 86), (1, 85), (2, 85)]));
        assert_eq!(counts(&leaving, |held| held.wanted.or(held.by)), BTreeMap::from([(0, 128), (1, 128)]));
    }

    #[test]
    fn a_node_that_is_to_have_a_slot_and_is_gone_is_wanted_no_more() {
        let mut one =
            picture(&[(1, true, true), (2, false, false)], |i| Held { by: Some(1), wanted: (i < 128).then_some(2) });
        let changed = changes(&one);
        apply(&mut one, &changed);
        assert!(one.1.iter().all(|held| *held == Held { by: Some(1), wanted: None }));
    }

    #[test]
    fn the_last_node_that_leaves_keeps_what_nobody_else_takes() {
        let alone = picture(&[(1, false, true)], |_| Held { by: Some(1), wanted: None });
        assert_eq!(changes(&alone), []);
    }
}
