//! Events of running models, kept for later requests.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::SystemTime;

use crate::sync::lock;

/// Events kept for one uid.
const EVENTS: usize = 100;
/// Uids that events are kept for.
const UIDS: usize = 1000;

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Normal operation.
    Info,
    /// A request or a launch failed.
    Error,
}

/// Something that happened to a running model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Severity.
    pub severity: Severity,
    /// Time.
    pub time: SystemTime,
    /// Description.
    pub text: String,
}

/// The last events of each uid; kept after the model is gone, to show why.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    events: Mutex<HashMap<String, VecDeque<Event>>>,
}

impl EventLog {
    pub(crate) fn note(&self, uid: &str, severity: Severity, text: impl Into<String>) {
        let mut events = lock(&self.events);
        if events.len() >= UIDS && !events.contains_key(uid) {
            let newest = |events: &VecDeque<Event>| events.back().map(|event| event.time);
            let oldest = events.iter().min_by_key(|(_, events)| newest(events)).map(|(uid, _)| uid.clone());
            oldest.map(|uid| events.remove(&uid));
        }
        let list = events.entry(uid.to_owned()).or_default();
        if list.len() == EVENTS {
            list.pop_front();
        }
        list.push_back(Event { severity, time: SystemTime::now(), text: text.into() });
    }

    /// The events of a uid, the oldest first.
    pub(crate) fn of(&self, uid: &str) -> Vec<Event> {
        lock(&self.events).get(uid).map(|events| events.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept() {
        let event_log = EventLog::default();
        for n in 0..EVENTS + 5 {
            event_log.note("a", Severity::Info, n.to_string());
        }
        let events = event_log.of("a");
        assert_eq!((events.len(), events[0].text.as_str()), (EVENTS, "5"));
        for n in 0..UIDS + 5 {
            event_log.note(&format!("uid-{n}"), Severity::Error, "x");
        }
        assert!(event_log.of("a").is_empty() && event_log.of("unknown").is_empty());
        assert_eq!(lock(&event_log.events).len(), UIDS);
    }
}
