//! What a process that died while it wrote leaves in a folder: files that the store neither lists nor reads.

use std::{fs, io, path::Path, time::SystemTime};

/// Deletes half-written files last written before a time, and says how many.
pub(crate) fn sweep(folder: &Path, before: SystemTime) -> io::Result<u64> {
    let mut deleted = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if is_half_written(&entry.file_name().to_string_lossy()) && written_before(&entry, before) {
                match fs::remove_file(entry.path()) {
                    Ok(()) => deleted += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(deleted)
}

/// The store writes `name#1` and renames it.
fn is_half_written(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// One that is gone meanwhile was finished.
fn written_before(entry: &fs::DirEntry, before: SystemTime) -> bool {
    entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|written| written < before)
}
