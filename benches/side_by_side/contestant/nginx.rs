//! nginx's configuration.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::{KEPT, Setting, Tuning};
use crate::feature::{Feature, LEVEL};
use crate::support::{FASTCGI_PARAMS, Scratch, find_program};

/// Debian's libnginx-mod-http-brotli-filter.
const BROTLI: &str = "/usr/lib/nginx/modules/ngx_http_brotli_filter_module.so";

/// brotli is no part of nginx.
pub(crate) fn nginx_knows_brotli() -> bool {
    PathBuf::from(BROTLI).is_file()
}

pub(super) fn command(scratch: &Scratch, setting: &Setting<'_>, tuning: Tuning) -> Result<Command, String> {
    let program = find_program(&["nginx"]).ok_or("nginx is gone")?;
    let config = scratch.write("nginx.conf", conf(setting, tuning));
    let mut command = Command::new(program);
    command.arg("-p").arg(setting.scratch).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
}

fn conf(setting: &Setting<'_>, tuning: Tuning) -> String {
    let prefix = setting.scratch.display();
    // As root, workers must be root too: nobody does not reach a developer's folders.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    let module = match setting.feature {
        Feature::Brotli => format!("load_module {BROTLI};"),
        _ => String::new(),
    };
    let file_cache = if tuning.open_file_cache { "max=1000 inactive=60s" } else { "off" };
    let (upstream, feature) = (upstream(setting, tuning), feature(setting));
    let servers = servers(setting, tuning);
    format!(
        "{module}
{user}
daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 16384; }}
http {{
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    large_client_header_buffers 4 16k;
    server_names_hash_max_size 8192;
    server_names_hash_bucket_size 128;
    open_file_cache {file_cache};
    client_max_body_size 200m;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    default_type application/octet-stream;
{feature}
{upstream}
{servers}
}}
"
    )
}

fn feature(setting: &Setting<'_>) -> String {
    let log = match setting.feature {
        Feature::AccessLog => format!("access_log {}/access.log combined;", setting.scratch.display()),
        _ => "access_log off;".to_owned(),
    };
    let other = match setting.feature {
        Feature::Tls => {
            let (cert, key) = setting.document.certificate();
            format!(
                "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:TLS:10m;",
                cert.display(),
                key.display()
            )
        }
        Feature::Gzip => {
            format!("gzip on; gzip_types text/plain; gzip_comp_level {LEVEL}; gzip_vary on;")
        }
        Feature::Brotli => format!("brotli on; brotli_types text/plain; brotli_comp_level {LEVEL};"),
        Feature::Precompressed => "gzip_static on; gzip_vary on;".to_owned(),
        _ => String::new(),
    };
    format!("    {log}\n    {other}")
}

fn upstream(setting: &Setting<'_>, tuning: Tuning) -> String {
    if setting.upstreams.is_empty() {
        return String::new();
    }
    let servers: String =
        setting.upstreams.iter().map(|address| format!("        server {address};\n")).collect();
    let keepalive = match tuning.keepalive {
        true => format!("        keepalive {KEPT};\n        keepalive_requests 1000000000;\n"),
        false => String::new(),
    };
    format!("    upstream php {{\n{servers}{keepalive}    }}\n")
}

fn servers(setting: &Setting<'_>, tuning: Tuning) -> String {
    match setting.feature.sites() {
        (1, _) => server(setting, tuning, "", 0),
        (sites, routes) => {
            (0..sites).map(|number| server(setting, tuning, &format!("site{number}.bench"), routes)).collect()
        }
    }
}

/// A site. What belongs to a listener may be told once only, by the first.
fn server(setting: &Setting<'_>, tuning: Tuning, name: &str, routes: u32) -> String {
    let scripts = if setting.upstreams.is_empty() { String::new() } else { scripts(tuning) };
    let tls = if setting.feature == Feature::Tls { "ssl http2" } else { "" };
    let (port, root) = (setting.port, setting.document.root().display());
    let backlog = if matches!(name, "" | "site0.bench") { "backlog=4096" } else { "" };
    let name = if name.is_empty() { String::new() } else { format!("server_name {name};") };
    let mut own = String::new();
    for number in 0..routes {
        let _ = writeln!(own, "        location /r{number}/ {{ try_files $uri =404; }}");
    }
    format!(
        "    server {{
        listen {port} {tls} {backlog};
        {name}
        root {root};
        location / {{ }}
{own}{scripts}
    }}
"
    )
}

/// As one writes it for an application with PATH_INFO, with what distributions ship as fastcgi_params.
fn scripts(tuning: Tuning) -> String {
    let keep = if tuning.keepalive { "on" } else { "off" };
    format!(
        "        location ~ \\.php(/|$) {{
            fastcgi_split_path_info ^(.+?\\.php)(/.*)?$;
            fastcgi_pass php;
            fastcgi_keep_conn {keep};
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
            {FASTCGI_PARAMS}
        }}"
    )
}
