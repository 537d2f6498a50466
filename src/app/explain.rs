//! `cornac explain`: how a request would be served. It asks the same router that the pipeline asks and prints the same
//! plan; nothing is sent.

use std::fmt::Write as _;
use std::net::SocketAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Serialize;

use super::Failure;
use super::checks::{self, Looked};
use super::cli::Explain;
use crate::config::model::{self, Listen, Model};
use crate::files::Disk;
use crate::route::{
    Address, Fixed, Label, NoTrace, PageStatus, Plan, RequestFacts, Scheme, Step, Steps, Target, Trace as _,
    env,
};
use crate::site::{ListenerId, Site, Sites};

pub(super) fn explain(args: &Explain) -> Result<(), Failure> {
    let model = super::load(&args.config)?;
    let sites = Sites::build(&model, None);
    let request = Request::read(args, &sites)?;
    if args.routes {
        return super::out(routes(&model.sites[sites.place(request.listener, &request.host)]).as_bytes());
    }
    let explanation = explanation(&request, sites.find(request.listener, &request.host), &model)?;
    let text = match args.json {
        true => serde_json::to_string_pretty(&explanation).map_err(|error| wrong(error.to_string()))? + "\n",
        false => explanation.to_text(),
    };
    super::out(text.as_bytes())
}

/// The request that is asked about.
struct Request {
    method: Method,
    url: Uri,
    headers: HeaderMap,
    host: String,
    listener: ListenerId,
    local: Address,
    peer: Address,
}

impl Request {
    fn read(args: &Explain, sites: &Sites) -> Result<Self, Failure> {
        let method = Method::from_bytes(args.method.as_bytes())
            .map_err(|_| wrong(format!("`{}` is no method", args.method)))?;
        let url: Uri =
            args.url.parse().map_err(|error| wrong(format!("`{}` is no URL: {error}", args.url)))?;
        let mut headers = headers(&args.headers)?;
        let host = host(&url, &headers);
        if let (Some(authority), false) = (url.authority(), headers.contains_key(HOST)) {
            let value = HeaderValue::try_from(authority.as_str());
            headers.insert(HOST, value.map_err(|_| wrong(format!("`{authority}` is no host")))?);
        }
        let (listener, listen) = listener(sites, &url);
        let local = match listen {
            Listen::Tcp(address) if !address.ip().is_unspecified() => *address,
            Listen::Tcp(address) => ([127, 0, 0, 1], address.port()).into(),
            Listen::Unix(_) => ([127, 0, 0, 1], 0).into(),
        };
        let peer = SocketAddr::new(args.from, 0).into();
        Ok(Self { method, url, headers, host, listener, local: local.into(), peer })
    }
}

/// How a request would be served, step by step.
#[derive(Debug, Serialize)]
struct Explanation {
    request: String,
    site: String,
    steps: Vec<Step>,
    answer: Answer,
    /// What the reply says in any case, being the page of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// How long it may be kept, where the route says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// What the client, or php, would get.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Answer {
    File {
        path: String,
    },
    Listing {
        path: String,
    },
    Script {
        pool: String,
        /// Of the pool's workers.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_share: Option<String>,
        params: Vec<(String, String)>,
    },
    Redirect {
        status: u16,
        location: String,
    },
    Fixed {
        status: u16,
        body: Option<String>,
    },
}

fn explanation(request: &Request, site: &Site, model: &Model) -> Result<Explanation, Failure> {
    let target = request.url.path_and_query().map_or("/", |target| target.as_str());
    let target = Target::parse(target.as_bytes())
        .map_err(|error| wrong(format!("`{target}` gets 400 before any site is asked: {error}")))?;
    let scheme = if request.url.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    let origin = site.origin(Some(&request.peer), None, &request.headers);
    let told = origin.as_ref().and_then(|origin| origin.client.as_ref());
    let mut facts = RequestFacts {
        method: &request.method,
        version: http::Version::HTTP_11,
        target: &target,
        host: &request.host,
        headers: &request.headers,
        scheme: origin.as_ref().and_then(|origin| origin.scheme).unwrap_or(scheme),
        tls: None,
        peer: told.or(Some(&request.peer)),
        hop: Some(&request.peer),
        announced: None,
        local: Some(&request.local),
        server_name: site.server_name(),
        content_length: None,
        request_id: Label::default(),
        user: None,
    };
    let mut steps = Steps::default();
    let plan = site.router().plan(&facts, &Disk, &mut steps);
    let mut user = None;
    let plan = match checks::look(plan, &facts, &mut steps, &mut user) {
        Looked::Passed(plan) => plan,
        Looked::Refused(refusal) => refusal,
        Looked::Known => {
            facts.user = user.as_deref();
            site.router().plan(&facts, &Disk, &mut NoTrace).unguarded()
        }
    };
    let (plan, status) = with_error_page(plan, site, &facts, &mut steps);
    let expires = plan.settings().expires.as_ref().map(ToString::to_string);
    Ok(Explanation {
        request: format!("{} {}", request.method, lossy(target.raw)),
        site: name(site),
        steps: steps.0,
        answer: answer(plan, &facts, model)?,
        status,
        expires,
    })
}

/// The page of a refusal in its place, and the status of the reply; any other plan as it is.
fn with_error_page<'a>(
    plan: Plan<'a>,
    site: &'a Site,
    facts: &RequestFacts<'a>,
    steps: &mut Steps,
) -> (Plan<'a>, Option<u16>) {
    let Plan::Fixed(Fixed { status, body: None, settings, .. }) = &plan else { return (plan, None) };
    let (error, settings) = (*status, *settings);
    let Some(page) = settings.error_page(error) else { return (plan, None) };
    steps.step(|| Step::ErrorPage { status: error.as_u16(), page: page.page.to_string() });
    let plan = site.router().plan_error_page(page, settings, facts, &Disk, steps);
    let status = match (page.status, &plan) {
        (_, Plan::Redirect(_)) | (PageStatus::OfPage, _) => None,
        (PageStatus::OfError, _) => Some(error.as_u16()),
        (PageStatus::Always(status), _) => Some(status.as_u16()),
    };
    (plan, status)
}

fn answer(plan: Plan<'_>, facts: &RequestFacts<'_>, model: &Model) -> Result<Answer, Failure> {
    Ok(match plan {
        Plan::File(file) => Answer::File { path: file.path.display().to_string() },
        Plan::Listing(folder) => Answer::Listing { path: folder.path.display().to_string() },
        Plan::Redirect(to) => Answer::Redirect { status: to.status.as_u16(), location: lossy(&to.location) },
        // Its checks were looked at.
        Plan::Guarded(guarded) => return answer(guarded.plan, facts, model),
        Plan::Fixed(fixed) => {
            Answer::Fixed { status: fixed.status.as_u16(), body: fixed.body.as_deref().map(lossy) }
        }
        Plan::Script(script) => {
            let mut params = Vec::new();
            let collected = env::params(&script, facts, &mut |name: &[u8], parts: &[&[u8]]| {
                params.push((lossy(name), lossy(&parts.concat())));
                Ok::<(), std::convert::Infallible>(())
            });
            match collected {
                Ok(()) => Answer::Script {
                    pool: model.pools[script.fastcgi.pool.0].name.clone(),
                    max_share: script.fastcgi.max_share.map(|share| format!("{}%", share.percent)),
                    params,
                },
            }
        }
    })
}

impl Explanation {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n  site {}\n", self.request, self.site);
        for step in &self.steps {
            put(&mut text, format_args!("  {step}\n"));
        }
        match &self.answer {
            Answer::File { path } => put(&mut text, format_args!("sends the file {path}\n")),
            Answer::Listing { path } => put(&mut text, format_args!("lists the folder {path}\n")),
            Answer::Redirect { status, location } => {
                put(&mut text, format_args!("redirects with {status} to {location}\n"));
            }
            Answer::Fixed { status, body } => {
                let body = body.as_deref().unwrap_or("the standard page");
                put(&mut text, format_args!("answers {status}: {body}\n"));
            }
            Answer::Script { pool, max_share, params } => {
                let share = max_share.as_ref();
                let share =
                    share.map_or_else(String::new, |share| format!(" (at most {share} of its workers)"));
                put(&mut text, format_args!("runs a script in pool {pool}{share}, with the parameters\n"));
                let width = params.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in params {
                    put(&mut text, format_args!("  {name:width$}  {}\n", value.escape_debug()));
                }
            }
        }
        if let Some(status) = self.status {
            put(&mut text, format_args!("and says {status}, whatever the page says\n"));
        }
        if let Some(expires) = &self.expires {
            put(&mut text, format_args!("expires: {expires}\n"));
        }
        text
    }
}

/// A site's routes: its own by name, then its preset's in full, as they would be written by hand.
fn routes(site: &model::Site) -> String {
    let preset = site.preset.map(|preset| preset.routes_for(&site.settings.script_extensions));
    let of_preset = preset.as_deref().unwrap_or_default();
    let mut text = String::new();
    for location in &site.locations {
        let origin =
            if of_preset.contains(&location.written) { "of the preset, below" } else { "the site's own" };
        put(&mut text, format_args!("# {}  ({origin})\n", location.written));
    }
    if let Some(preset) = site.preset {
        put(&mut text, format_args!("\n# preset = \"{preset}\" stands for:\n{of_preset}"));
    }
    text
}

fn headers(written: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in written {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| wrong(format!("`{line}` is no header: `-H 'Name: value'`")))?;
        let name =
            HeaderName::try_from(name.trim()).map_err(|_| wrong(format!("`{name}` is no header's name")))?;
        let value =
            HeaderValue::try_from(value.trim()).map_err(|_| wrong(format!("bad value in `{line}`")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The host that the URL names, or else the Host header, without its port.
fn host(url: &Uri, headers: &HeaderMap) -> String {
    let header = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = url.host().unwrap_or_else(|| header.rsplit_once(':').map_or(header, |(host, _)| host));
    host.to_ascii_lowercase()
}

/// The listener with the URL's port; the first one where no port is named or fits.
fn listener<'a>(sites: &'a Sites, url: &Uri) -> (ListenerId, &'a Listen) {
    let fits =
        |listen: &Listen| matches!(listen, Listen::Tcp(address) if Some(address.port()) == url.port_u16());
    let fitting = sites.listeners().find(|(_, listen)| fits(listen));
    fitting.or_else(|| sites.listeners().next()).expect("a site has a listener, and a model has a site")
}

fn name(site: &Site) -> String {
    if site.server_name().is_empty() { "(any host)".to_owned() } else { site.server_name().to_owned() }
}

fn wrong(what: String) -> Failure {
    Failure::Request(what)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}
