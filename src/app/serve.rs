//! `cornac serve`: a folder, served without a configuration. It writes the configuration that a user would have
//! written, and runs that: what is true for `cornac run` is true here.

use std::path::Path;
use std::sync::Arc;

use super::cli::Serve;
use super::ctl::TOKEN;
use super::{Failure, run};
use crate::config::model::{EventLog, LogTarget};
use crate::config::{self, Preset};
use crate::files::Disk;
use crate::runtime::{Php, Server};

pub(super) fn serve(args: &Serve) -> Result<(), Failure> {
    let project = args
        .dir
        .canonicalize()
        .map_err(|error| Failure::Request(format!("cannot serve {}: {error}", args.dir.display())))?;
    let found = config::detect(&Disk, &project);
    let preset = match &args.preset {
        Some(name) => name.parse::<Preset>().map_err(|error| Failure::Request(error.to_string()))?,
        None => found.preset,
    };
    let quiet = EventLog { filter: "info,php-fpm=warn".to_owned(), to: LogTarget::Stderr };
    let events = run::start_log(&quiet)?;
    // Mistakes of the command line are said before anything is started.
    config::parse(
        &configuration(args, &found.root, preset, &["127.0.0.1:1".to_owned()]),
        "cornac serve",
        &project,
    )
    .map_err(Failure::Config)?;
    run::runtime()?.block_on(async {
        let php = match args.fpm.is_empty() {
            true => Some(Php::start(&found.root, args.workers).await?),
            false => None,
        };
        let served = serve_with(args, &found.root, preset, php.as_ref(), &events).await;
        if let Some(php) = php {
            php.stop().await;
        }
        served
    })
}

async fn serve_with(
    args: &Serve,
    root: &Path,
    preset: Preset,
    php: Option<&Php>,
    events: &Arc<crate::logs::EventLog>,
) -> Result<(), Failure> {
    let servers = match php {
        Some(php) => vec![format!("unix:{}", php.socket().display())],
        None => args.fpm.clone(),
    };
    let text = configuration(args, root, preset, &servers);
    let model = config::parse(&text, "cornac serve", root).map_err(Failure::Config)?;
    let server = Server::start(model, None, events)?;
    let urls: Vec<_> = server.addresses().iter().map(|address| format!("http://{address}/")).collect();
    super::out(
        format!(
            "\n  {}\n  serves {} (preset {preset}) with {}\n  Ctrl-C ends it\n\n",
            urls.join("  "),
            root.display(),
            if php.is_some() {
                format!("its own php-fpm, {} workers", args.workers)
            } else {
                args.fpm.join(", ")
            },
        )
        .as_bytes(),
    )?;
    server.run().await;
    Ok(())
}

fn configuration(args: &Serve, root: &Path, preset: Preset, servers: &[String]) -> String {
    let admin = args.open_admin.as_deref().map(|listen| admin(listen, std::env::var(TOKEN).is_ok()));
    // Our own php-fpm has so many workers and nobody else's clients: the limit need not be learnt.
    let limit = if args.fpm.is_empty() { format!(", max_conns = {}", args.workers) } else { String::new() };
    let servers: Vec<_> =
        servers.iter().map(|server| format!("{{ address = {}{limit} }}", quoted(server))).collect();
    format!(
        "[server]\naccess_log = {{ path = \"stdout\", format = \"short\" }}\n\n\
         [pools.php]\nservers = [{}]\n\n\
         [[sites]]\nlisten = [{}]\nroot = {}\npreset = {}\n{}",
        servers.join(", "),
        quoted(&args.listen.to_string()),
        quoted(&root.display().to_string()),
        quoted(preset.name()),
        admin.unwrap_or_default(),
    )
}

fn admin(listen: &str, has_token: bool) -> String {
    let token = if has_token { format!("token = {{ env = \"{TOKEN}\" }}\n") } else { String::new() };
    format!("[admin]\nlisten = {}\n{token}", quoted(listen))
}

/// As a TOML string, whatever the folder's name holds.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::balance::MaxConns;

    fn args(fpm: &[&str]) -> Serve {
        Serve {
            dir: PathBuf::from("."),
            listen: "127.0.0.1:8000".parse().expect("a literal"),
            preset: None,
            fpm: fpm.iter().map(|&fpm| fpm.to_owned()).collect(),
            workers: 3,
            open_admin: None,
        }
    }

    #[test]
    fn an_operator_elsewhere_needs_a_token() {
        let parse = |admin: &str| {
            let text = configuration(&args(&["a:1"]), Path::new("/"), Preset::Plain, &["a:1".to_owned()]);
            config::parse(&format!("{text}{admin}"), "cornac serve", Path::new("/")).map(|model| model.admin)
        };
        assert!(parse("").expect("valid").is_none());
        assert!(
            parse(&admin("127.0.0.1:9180", false)).expect("valid").is_some_and(|admin| admin.token.is_none())
        );
        assert!(
            parse(&admin("0.0.0.0:9180", false)).expect_err("refused").to_string().contains("needs a token")
        );
        assert_eq!(
            admin("unix:/a", true),
            "[admin]\nlisten = \"unix:/a\"\ntoken = { env = \"CORNAC_ADMIN_TOKEN\" }\n"
        );
    }

    #[test]
    fn the_written_configuration_is_a_valid_one_whatever_the_folder_is_called() {
        let folder =
            tempfile::Builder::new().prefix("it's \"quoted\" \\ 中文").tempdir().expect("a temp dir");
        for fpm in [&[][..], &["127.0.0.1:9000", "unix:/run/php.sock"]] {
            let args = args(fpm);
            let servers = if fpm.is_empty() { vec!["unix:/x".to_owned()] } else { args.fpm.clone() };
            let text = configuration(&args, folder.path(), Preset::ThinkPhp, &servers);
            let model = config::parse(&text, "cornac serve", folder.path()).expect("valid");
            assert_eq!(model.sites[0].settings.root, folder.path());
            let limit = if fpm.is_empty() { MaxConns::Most(3) } else { MaxConns::Auto };
            assert_eq!(model.pools[0].servers[0].max_conns, limit);
        }
    }
}
