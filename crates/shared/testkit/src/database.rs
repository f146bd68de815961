use crate::psql::{Login, Session};
use crate::servers::{Durability, Postgres};
use anyhow::{Context, Result};
use std::future::Future;
use std::process::Stdio;
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// Names the server that a whole test run shares, as its superuser: `postgres://barid:..@127.0.0.1:<port>/postgres`.
/// `cargo xtask test` sets it; without it every test process starts a server of its own.
pub const POSTGRES_URL_VARIABLE: &str = "BARID_TEST_POSTGRES_URL";

/// The PostgreSQL server of this test process.
#[derive(Clone, Debug)]
pub struct Cluster {
    login: Login,
    /// Ours to stop; `None` when the server belongs to the test run.
    own: Option<Arc<Postgres>>,
}

impl Cluster {
    /// The address of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.login.url(database)
    }

    /// The address of the database `postgres` for the superuser.
    pub fn admin_url(&self) -> String {
        self.url("postgres")
    }

    /// The server itself when this process started it, for tests that stop it.
    pub fn own(&self) -> Option<&Arc<Postgres>> {
        self.own.as_ref()
    }
}

/// The server of the test run, or one of this process that ends with the last handle.
pub async fn postgres() -> Result<Cluster> {
    static OWN: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
    if let Ok(url) = std::env::var(POSTGRES_URL_VARIABLE) {
        let login = Login::parse(&url).context(POSTGRES_URL_VARIABLE)?;
        return Ok(Cluster { login, own: None });
    }
    let mut own = OWN.lock().await;
    let server = match own.upgrade() {
        Some(server) => server,
        None => Arc::new(Postgres::start(None, None, Durability::Ephemeral).await?),
    };
    *own = Arc::downgrade(&server);
    Ok(Cluster { login: Login::parse(&server.admin_url())?, own: Some(server) })
}

/// A database of the caller's own, dropped with its handle.
#[derive(Debug)]
pub struct Database {
    name: String,
    cluster: Cluster,
}

impl Database {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of this database for the superuser.
    pub fn admin_url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// The address of this database for another login, whose name and password must need no escaping in a URL.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        self.cluster.login.as_user(user, password).url(&self.name)
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Waits until every transaction of the server that began before now has ended. Events are told behind the oldest open one, and on a
    /// shared server that may be another test's, such as a database being made.
    pub async fn settle(&self) -> Result<()> {
        let now = self.execute(&["SELECT pg_current_xact_id()"]).await?;
        let sql = format!("SELECT pg_snapshot_xmin(pg_current_snapshot()) > '{}'::xid8", now.trim());
        crate::eventually(std::time::Duration::from_secs(30), || async {
            anyhow::ensure!(self.execute(&[&sql]).await?.trim() == "t", "an older transaction is still open");
            Ok(())
        })
        .await
    }

    /// Runs statements as the superuser, each in its own transaction, and returns the rows as lines, columns parted by `|`.
    pub async fn execute(&self, statements: &[&str]) -> Result<String> {
        self.cluster.login.execute(&self.name, statements).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server of our own goes as a whole. On a shared one nobody waits for the drop, and what it leaves goes with the server.
        if self.cluster.own.is_none()
            && let Ok(mut psql) = self.cluster.login.psql("postgres")
        {
            psql.args(["--command", &format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name)]);
            let _ = psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        }
    }
}

/// A fresh, empty database.
pub async fn database() -> Result<Database> {
    create(postgres().await?, "template0").await
}

/// A fresh copy of a database that `prepare` made ready, once per server, given its address as superuser.
///
/// The copy takes tens of milliseconds however long `prepare` took. `prepare` must close its connections. Let `key` change with what
/// it does, such as by the newest migration's name: on a server that outlives the run, the old copy would be taken.
pub async fn database_with<F, Fut>(key: &str, prepare: F) -> Result<Database>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let cluster = postgres().await?;
    let template = template_name(key);
    if !is_template(&cluster.login, &template).await? {
        prepare_template(&cluster, &template, prepare).await.with_context(|| format!("preparing the database template {key}"))?;
    }
    create(cluster, &template).await
}

async fn create(cluster: Cluster, template: &str) -> Result<Database> {
    let name = format!("barid_test_{}", crate::secret());
    cluster.login.execute("postgres", &[&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"")]).await?;
    Ok(Database { name, cluster })
}

async fn is_template(login: &Login, name: &str) -> Result<bool> {
    let found = login.execute("postgres", &[&format!("SELECT datistemplate FROM pg_database WHERE datname = '{name}'")]).await?;
    Ok(found == "t")
}

async fn prepare_template<F, Fut>(cluster: &Cluster, template: &str, prepare: F) -> Result<()>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    // One lock for all templates: migrations create roles, which belong to the server and not to a database.
    let mut lock = Session::open(&cluster.login, "postgres")?;
    lock.query("SELECT 'locked' FROM pg_advisory_lock(hashtext('barid-testkit'))").await?;
    if is_template(&cluster.login, template).await? {
        return Ok(());
    }
    // What exists without being marked as a template was left half-made.
    let (drop, create) =
        (format!("DROP DATABASE IF EXISTS \"{template}\" WITH (FORCE)"), format!("CREATE DATABASE \"{template}\" TEMPLATE template0"));
    cluster.login.execute("postgres", &[&drop, &create]).await?;
    prepare(cluster.url(template)).await?;
    // Copying waits five seconds for connections to end; nobody may open a new one.
    cluster.login.execute("postgres", &[&format!("ALTER DATABASE \"{template}\" IS_TEMPLATE true ALLOW_CONNECTIONS false")]).await?;
    Ok(())
}

/// Keys may be of any form; names of databases are at most 63 bytes.
fn template_name(key: &str) -> String {
    let plain: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(30).collect();
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(key, &mut hasher);
    format!("barid_tpl_{plain}_{:016x}", std::hash::Hasher::finish(&hasher))
}
