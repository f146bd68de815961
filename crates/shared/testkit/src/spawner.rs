use anyhow::{Context, Result, anyhow};
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};

type Request = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts `command` from a thread that lives as long as this process.
///
/// Linux delivers the parent-death signal when the *thread* that forked ends. A test's own thread or a runtime's worker ends long
/// before the process does, and would take servers shared with other tests along; hence one thread for all, and the only global here.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    static REQUESTS: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let requests = REQUESTS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            while let Ok((mut command, answer)) = receiver.recv() {
                // Nobody waits for the answer when the caller is gone; the dropped child is then reaped by the caller's exit.
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let program = command.get_program().to_string_lossy().into_owned();
    let (answer, reply) = mpsc::channel();
    requests.send((command, answer)).map_err(|_| anyhow!("the thread that starts processes ended"))?;
    reply.recv().context("the thread that starts processes ended")?.with_context(|| format!("starting {program}"))
}
