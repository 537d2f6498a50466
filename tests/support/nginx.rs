//! A real nginx of a test's own, to compare with.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::child::{self, Listen, Process, Signal, find_program};
use super::{Port, Scratch, free_port};

const INSTALL: &str = "nginx is not installed; install it by:\n    scripts/install-deps.sh nginx\n(Debian: apt-get install nginx-light)";

/// The params that every distribution's nginx comes with, for `include fastcgi_params;`.
pub const FASTCGI_PARAMS: &str = "\
fastcgi_param QUERY_STRING $query_string;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param DOCUMENT_URI $document_uri;
fastcgi_param DOCUMENT_ROOT $document_root;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param REQUEST_SCHEME $scheme;
fastcgi_param HTTPS $https if_not_empty;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
fastcgi_param REMOTE_ADDR $remote_addr;
fastcgi_param REMOTE_PORT $remote_port;
fastcgi_param SERVER_ADDR $server_addr;
fastcgi_param SERVER_PORT $server_port;
fastcgi_param SERVER_NAME $server_name;
fastcgi_param REDIRECT_STATUS 200;
";

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: Port,
    scratch: Scratch,
}

impl Nginx {
    /// `server` is what stands in the server block; the `listen` line is the rig's.
    pub fn start(server: &str) -> Self {
        Self::start_with("", server)
    }

    /// `http` is what stands beside the server block: `upstream`, `map`, `log_format`.
    pub fn start_with(http: &str, server: &str) -> Self {
        let program = find_program(&["nginx"]).unwrap_or_else(|| panic!("{INSTALL}"));
        let scratch = Scratch::new();
        let port = free_port();
        scratch.write("fastcgi_params", FASTCGI_PARAMS);
        let config = scratch.write("nginx.conf", config(scratch.path(), &port, http, server));
        let mut command = Command::new(program);
        command.arg("-p").arg(scratch.path()).arg("-c").arg(config).args(["-e", "stderr"]);
        let mut process = Process::start("nginx", &mut command, scratch.join("output.log"));
        process.wait_for_listener(&Listen::Tcp(port.address()), Some(&scratch.join("error.log")));
        Self { process, port, scratch }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> String {
        self.process.log() + &child::read_log(&self.scratch.join("error.log"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- nginx said:\n{}", self.log());
        }
        let workers = child::worker_pids(self.pid());
        self.process.end(Signal::TERM);
        workers.into_iter().for_each(|pid| child::signal(pid, Signal::KILL));
    }
}

fn config(prefix: &Path, port: &Port, http: &str, server: &str) -> String {
    let prefix = prefix.display();
    // As root, workers must be root too: nobody does not reach a developer's folders.
    let user = if rustix::process::geteuid().is_root() { "user root root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    default_type application/octet-stream;
    types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; text/plain txt; image/jpeg jpg; }}
    client_max_body_size 1g;
    {http}
    server {{
        listen {port};
        {server}
    }}
}}
"
    )
}
