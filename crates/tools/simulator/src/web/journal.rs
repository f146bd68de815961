//! What survives the simulator's end: a file of changes, read at the start, written anew, and added to from then on.
//!
//! Each line is `{"k": key, "v": value}`; of several with one key the last holds, and `null` removes it. A process
//! that is killed loses what changed in the last moments and may leave half a line, which is ignored.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::Result, stored::Stored};
use crate::world::World;

const FILE: &str = "state.jsonl";
/// How long a change waits to be written.
const WAIT: Duration = Duration::from_millis(200);
/// Bytes added before the file is written anew, if it has also become several times what it was.
const GROWTH: u64 = 64 << 20;

#[derive(Deserialize)]
struct Line {
    k: String,
    v: Value,
}

/// The open file, and what is known to be in it.
struct Journal {
    path: PathBuf,
    file: File,
    written: u64,
    /// After it was last written anew.
    start: u64,
    /// A digest of each value, so that only changes are added.
    values: HashMap<String, u64>,
    /// The newest change of a phone that was looked at.
    phones_seen: u64,
}

/// Puts people and phones back as they were saved.
pub(crate) fn load(world: &World) -> Result<()> {
    let directory = &world.config.web.state_dir;
    let path = directory.join(FILE);
    if directory.as_os_str().is_empty() || !path.exists() {
        return Ok(());
    }
    let mut phones = BTreeMap::new();
    let mut messages: BTreeMap<String, BTreeMap<u64, Value>> = BTreeMap::new();
    for (key, value) in read(&path)? {
        match key.splitn(3, '/').collect::<Vec<_>>()[..] {
            ["person", _] => world.web.people.restore(serde_json::from_value::<Stored>(value)?.person(&world.web.keys)?),
            ["phone", wa_id] => {
                phones.insert(wa_id.to_owned(), serde_json::from_value(value)?);
            }
            ["message", wa_id, sequence] => {
                messages.entry(wa_id.to_owned()).or_default().insert(sequence.parse().unwrap_or_default(), value);
            }
            _ => {}
        }
    }
    for (wa_id, settings) in phones {
        let mut kept = messages.remove(&wa_id).unwrap_or_default();
        // Lines of messages that were forgotten in the meantime are still there.
        while kept.len() > world.config.phones.messages_kept {
            kept.pop_first();
        }
        let kept = kept.into_values();
        let kept = kept.map(serde_json::from_value).collect::<std::result::Result<Vec<_>, _>>()?;
        world.phones.change(&wa_id, |phone| phone.restore(settings, kept));
    }
    Ok(())
}

/// The last value of each key.
fn read(path: &Path) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let Ok(Line { k, v }) = serde_json::from_str(&line?) else { continue };
        if v.is_null() {
            values.remove(&k);
        } else {
            values.insert(k, v);
        }
    }
    Ok(values)
}

/// Saves changes until the simulator ends, and then the last of them.
pub(crate) async fn run(world: Arc<World>) {
    if world.config.web.state_dir.as_os_str().is_empty() {
        return;
    }
    let mut journal = match Journal::open(&world) {
        Ok(journal) => journal,
        Err(error) => {
            tracing::error!(%error, "state is not saved");
            return;
        }
    };
    loop {
        let last = tokio::select! {
            () = world.shutdown.cancelled() => true,
            () = tokio::time::sleep(WAIT) => false,
        };
        let saved =
            if world.web.rewrite.swap(false, Relaxed) { Journal::open(&world).map(|fresh| journal = fresh) } else { journal.save(&world) };
        if let Err(error) = saved {
            tracing::error!(%error, "a change was not saved");
        }
        if last {
            return;
        }
    }
}

impl Journal {
    /// Writes everything there is to a new file in place of the old.
    fn open(world: &World) -> Result<Self> {
        let directory = &world.config.web.state_dir;
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE);
        let fresh = path.with_extension("new");
        let mut journal = Self { file: File::create(&fresh)?, path, written: 0, start: 0, values: HashMap::new(), phones_seen: 0 };
        for person in world.web.people.all() {
            let person = person.lock();
            journal.put(format!("person/{}", person.number), &serde_json::to_value(Stored::of(&person)?)?)?;
        }
        journal.save(world)?;
        journal.file.sync_data()?;
        std::fs::rename(fresh, &journal.path)?;
        journal.start = journal.written;
        Ok(journal)
    }

    /// Adds what has changed.
    fn save(&mut self, world: &World) -> Result<()> {
        for person in world.web.people.all() {
            if let Some(stored) = person.if_changed(Stored::of) {
                let stored = serde_json::to_value(stored?)?;
                let key = format!("person/{}", stored["number"].as_str().unwrap_or_default());
                self.put(key, &stored)?;
            }
        }
        let seen = self.phones_seen;
        let changed = world.phones.collect(|wa_id, phone| (phone.changed > seen).then(|| (phone.changed, wa_id.to_owned())));
        for (change, wa_id) in changed {
            let view = world.phones.look(&wa_id, |phone| {
                let messages = phone.messages.iter().map(|message| (message.wire.sequence, serde_json::to_value(message)));
                (serde_json::to_value(phone.settings()), messages.collect::<Vec<_>>())
            });
            let Some((settings, messages)) = view else { continue };
            self.put(format!("phone/{wa_id}"), &settings?)?;
            for (sequence, message) in messages {
                self.put(format!("message/{wa_id}/{sequence}"), &message?)?;
            }
            self.phones_seen = self.phones_seen.max(change);
        }
        if self.start > 0 && self.written > GROWTH.max(4 * self.start) {
            *self = Self::open(world)?;
        }
        Ok(())
    }

    fn put(&mut self, key: String, value: &Value) -> Result<()> {
        let line = json!({"k": key, "v": value}).to_string();
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        if self.values.insert(key, hasher.finish()) == Some(hasher.finish()) {
            return Ok(());
        }
        writeln!(self.file, "{line}")?;
        self.written += line.len() as u64 + 1;
        Ok(())
    }
}
