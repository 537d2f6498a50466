//! `cornac doctor`: asks every member of every pool how it is, and says what it means and what to change. It only reads:
//! no script is run, nothing is changed, and it does not matter whether cornac is running.
//!
//! | file | asks |
//! |---|---|
//! | `door` | whether anybody is there, speaks FastCGI, has a worker free |
//! | `files` | whether php-fpm sees the site's files under `backend_root` |
//! | `workers` | what php-fpm's status page tells |
//! | `exposed` | whether strangers reach php-fpm's own pages |
//! | `local`, `fpm_conf` | what php-fpm's configuration on this machine says |
//! | `settings` | what does not go together |
//! | `finding` | how a finding is told |

mod door;
mod exposed;
mod files;
mod finding;
mod fpm_conf;
mod local;
mod settings;
#[cfg(test)]
mod testing;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::cli::Doctor;
use super::{Failure, run};
use crate::config::model::{Discover, EndpointSpec, Model, ServerSpec};
use crate::route::PoolId;
use crate::upstream::{Endpoint, endpoints_of, told_by};
use door::{Door, Php};
use files::Place;
use finding::{Diagnosis, Examined, Finding, Severity};
use local::LocalPool;
use workers::{Look, Page};

/// How long one question waits for its connection, and again for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn doctor(args: &Doctor) -> Result<(), Failure> {
    let model = super::load(args.config.path())?;
    let diagnosis = run::runtime()?.block_on(examine(Arc::new(model)));
    let text = match args.json {
        true => diagnosis.to_json().map_err(|error| Failure::Request(error.to_string()))? + "\n",
        false => diagnosis.to_text(),
    };
    super::out(text.as_bytes())?;
    match diagnosis.count(Severity::Problem) {
        0 => Ok(()),
        _ => Err(Failure::Unwell),
    }
}

async fn examine(model: Arc<Model>) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    for index in 0..model.pools.len() {
        diagnosis.0.extend(examine_pool(&model, PoolId(index)).await);
    }
    diagnosis
}

/// All members at once: one that keeps us waiting keeps nobody else.
async fn examine_pool(model: &Arc<Model>, id: PoolId) -> Vec<Examined> {
    let pool = &model.pools[id.0];
    let mut patients: Vec<Patient> = Vec::new();
    let mut lost = Vec::new();
    for server in &pool.servers {
        match endpoints_of(&server.endpoint).await {
            Ok(endpoints) => patients
                .extend(endpoints.into_iter().map(|endpoint| Patient::new(model, id, server, endpoint))),
            Err(error) => lost.push(not_found(&pool.name, server, &error)),
        }
    }
    for discover in &pool.discover {
        match told_by(&discover.source, &pool.name, pool.resolve).await {
            Ok(endpoints) => {
                patients.extend(endpoints.into_iter().map(|endpoint| {
                    Patient::new(model, id, &discover.terms.at(spec_of(&endpoint)), endpoint)
                }))
            }
            Err(error) => lost.push(silent_source(&pool.name, discover, &error)),
        }
    }
    let mut asking = JoinSet::new();
    for (place, patient) in patients.into_iter().enumerate() {
        asking.spawn(async move { (place, patient.examine().await) });
    }
    let mut examined = asking.join_all().await;
    examined.sort_by_key(|(place, _)| *place);
    let seen: Vec<Seen> = examined.into_iter().map(|(_, seen)| seen).collect();
    let whole = as_a_whole(model, id, &seen);
    let members = seen.into_iter().map(|seen| Examined {
        pool: pool.name.clone(),
        member: Some(seen.member),
        findings: seen.findings,
    });
    members.chain(lost).chain(whole).collect()
}

fn not_found(pool: &str, server: &ServerSpec, error: &std::io::Error) -> Examined {
    let finding = Finding::problem(format!("the name cannot be looked up: {error}"))
        .means("It gets no requests until it can.")
        .change("Check the name; in containers, that both are in the same network.");
    Examined { pool: pool.to_owned(), member: Some(server.endpoint.to_string()), findings: vec![finding] }
}

fn silent_source(pool: &str, discover: &Discover, error: &str) -> Examined {
    let finding = Finding::problem(format!("it cannot tell who its members are: {error}"))
        .means("Those that it told of last go on; after a start there are none.")
        .change("Mend the source, or list servers beside it that are always there.");
    Examined { pool: pool.to_owned(), member: Some(discover.source.to_string()), findings: vec![finding] }
}

/// What is discovered, as if it were written.
fn spec_of(endpoint: &Endpoint) -> EndpointSpec {
    match endpoint {
        Endpoint::Unix(path) => EndpointSpec::Unix(path.clone()),
        Endpoint::Tcp(at) => EndpointSpec::Tcp { host: at.ip().to_string(), port: at.port() },
    }
}

/// A member, and what is needed to ask it everything.
struct Patient {
    model: Arc<Model>,
    pool: PoolId,
    server: ServerSpec,
    endpoint: Endpoint,
    places: Vec<Place>,
}

/// What came of it.
struct Seen {
    member: String,
    php: Option<Php>,
    page: Option<Page>,
    /// Whether php-fpm's own configuration was read.
    local: bool,
    /// The pages it has of its own, as that configuration says.
    own_pages: Vec<String>,
    findings: Vec<Finding>,
}

impl Patient {
    fn new(model: &Arc<Model>, pool: PoolId, server: &ServerSpec, endpoint: Endpoint) -> Self {
        let places = files::places(model, pool);
        Self { model: Arc::clone(model), pool, server: server.clone(), endpoint, places }
    }

    async fn examine(self) -> Seen {
        let pool = &self.model.pools[self.pool.0];
        let (door, first) = door::look(&self.endpoint, PATIENCE).await;
        let php = if let Door::Open(php) = door { Some(php) } else { None };
        let mut findings = vec![first];
        findings.extend(self.server.down.then(|| Finding::hint("taken out by hand: down = true")));
        let mut page = None;
        if door != Door::Shut {
            let open = php.is_some_and(|php| php != Php::Other);
            match workers::look(pool, &self.server, (&self.endpoint, open), PATIENCE).await {
                Look::Found(found) => {
                    findings.extend(workers::findings(&found, pool, &self.server));
                    page = Some(found);
                }
                Look::Elsewhere if open => findings.push(workers::no_page(pool)),
                Look::Silent if open => findings.push(workers::silent()),
                // A busy one could not tell.
                Look::Elsewhere | Look::Silent => {}
            }
        }
        if let Some(php) = php {
            for place in &self.places {
                findings.push(files::look(place, &self.endpoint, php, PATIENCE).await);
            }
        }
        let local = self.local().await;
        findings.extend(local.iter().flat_map(|local| settings::of_php_fpm(local, pool, &self.server)));
        let own_pages = local.iter().flat_map(LocalPool::pages).collect();
        Seen { member: self.name(), php, page, local: local.is_some(), own_pages, findings }
    }

    /// /proc may keep one waiting, which must not be the other members' patience.
    async fn local(&self) -> Option<LocalPool> {
        let endpoint = self.endpoint.clone();
        tokio::task::spawn_blocking(move || local::pool_at(&endpoint)).await.ok().flatten()
    }

    /// As it is written, and where that is.
    fn name(&self) -> String {
        let (written, address) = (self.server.endpoint.to_string(), self.endpoint.to_string());
        if written == address { address } else { format!("{written} at {address}") }
    }
}

/// What is said once for a pool, not for each member.
fn as_a_whole(model: &Model, id: PoolId, seen: &[Seen]) -> Option<Examined> {
    let pool = &model.pools[id.0];
    let mut findings = settings::of_cornac(pool);
    if seen.iter().any(|seen| seen.php.is_some() && !seen.local) {
        findings.push(settings::unseen(pool));
    }
    let told = pool.health.iter().flat_map(|health| [&health.status_path, &health.ping_path]);
    let mut pages: Vec<String> = told.flatten().cloned().collect();
    pages.extend(seen.iter().filter_map(|seen| Some(seen.page.as_ref()?.path.clone())));
    pages.extend(seen.iter().flat_map(|seen| seen.own_pages.iter().cloned()));
    pages.sort_unstable();
    pages.dedup();
    let by_path_info = seen.iter().any(|seen| seen.php == Some(Php::JudgesByName));
    findings.extend(exposed::findings(model, id, &pages, by_path_info));
    let examined = Examined { pool: pool.name.clone(), member: None, findings };
    (!examined.findings.is_empty()).then_some(examined)
}
