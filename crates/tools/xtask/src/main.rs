//! Barid's chores: `cargo xtask --help`.

mod bench;
mod breaking;
mod chaos;
mod cli;
mod demo;
mod docs;
mod edges;
mod manifests;
mod monitoring;
mod private_file;
mod proto;
mod test;
mod up;
mod workspace;

pub use workspace::root;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match cli::run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
