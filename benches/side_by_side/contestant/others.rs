//! The peers of `--all`: caddy, apache and lighttpd, each as its manual has it for php-fpm and files.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Setting;
use crate::support::{Scratch, find_program};

pub(super) fn caddy(scratch: &Scratch, setting: &Setting<'_>) -> Result<Command, String> {
    let (port, root) = (setting.port, setting.document.root().display());
    let php = match setting.upstreams {
        [] => String::new(),
        upstreams => format!("    php_fastcgi {}\n", spaced(upstreams)),
    };
    let config = scratch.write(
        "Caddyfile",
        format!(
            "{{\n    admin off\n    auto_https off\n}}\nhttp://{port} {{\n    root * {root}\n{php}    file_server\n}}\n"
        ),
    );
    let mut command = program("caddy")?;
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    // Its threads are the runtime's, as many as cores; it writes nowhere else.
    command.env("HOME", setting.scratch).env("XDG_DATA_HOME", setting.scratch);
    Ok(command)
}

pub(super) fn apache(scratch: &Scratch, setting: &Setting<'_>) -> Result<Command, String> {
    const MODULES: [&str; 7] =
        ["mpm_event", "authz_core", "mime", "dir", "proxy", "proxy_fcgi", "proxy_balancer"];
    const MORE: [&str; 3] = ["slotmem_shm", "lbmethod_byrequests", "env"];
    let folder = setting.scratch.display();
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = MODULES.iter().chain(&MORE).map(load).collect();
    let (port, root) = (setting.port, setting.document.root().display());
    let members: String = setting
        .upstreams
        .iter()
        .map(|address| format!("    BalancerMember fcgi://{address} enablereuse=on max=64\n"))
        .collect();
    let php = match setting.upstreams {
        [] => String::new(),
        _ => format!(
            "<Proxy balancer://php>\n{members}</Proxy>\nProxyFCGIBackendType FPM\n<FilesMatch \"\\.php$\">\n    SetHandler \"proxy:balancer://php\"\n</FilesMatch>\n"
        ),
    };
    let config = scratch.write(
        "apache.conf",
        format!(
            "{modules}ServerName bench\nServerRoot {folder}\nPidFile {folder}/apache.pid\nDefaultRuntimeDir {folder}\nErrorLog {folder}/error.log
Listen {port}\nListenBacklog 4096\nServerLimit 2\nStartServers 2\nThreadLimit 128\nThreadsPerChild 128\nMaxRequestWorkers 256
AsyncRequestWorkerFactor 100\nMaxKeepAliveRequests 0\nTypesConfig /etc/mime.types\nDocumentRoot {root}
<Directory {root}>\n    Require all granted\n    AllowOverride None\n</Directory>\n{php}"
        ),
    );
    let mut command = program("apache2")?;
    command.arg("-DFOREGROUND").arg("-f").arg(config);
    // When it ends it ends its whole process group, which else would be ours.
    command.process_group(0);
    Ok(command)
}

pub(super) fn lighttpd(scratch: &Scratch, setting: &Setting<'_>) -> Result<Command, String> {
    let (address, root) = (setting.port.address(), setting.document.root().display());
    let host = |(number, address): (usize, &std::net::SocketAddr)| {
        format!(
            "    \"s{number}\" => ( \"host\" => \"{}\", \"port\" => {}, \"check-local\" => \"disable\" ),\n",
            address.ip(),
            address.port()
        )
    };
    let hosts: String = setting.upstreams.iter().enumerate().map(host).collect();
    let php = match setting.upstreams {
        [] => String::new(),
        _ => format!(
            "server.modules += ( \"mod_fastcgi\" )\nfastcgi.balance = \"least-connection\"\nfastcgi.server = ( \".php\" => (\n{hosts}) )\n"
        ),
    };
    let config = scratch.write(
        "lighttpd.conf",
        format!(
            "server.document-root = \"{root}\"\nserver.bind = \"{}\"\nserver.port = {}\nserver.max-worker = 2\nserver.max-fds = 16384
server.max-connections = 8192\nserver.listen-backlog = 4096\nserver.max-keep-alive-requests = 1000000000\nserver.upload-dirs = ( \"{}\" )\n{php}",
            address.ip(),
            address.port(),
            setting.scratch.display()
        ),
    );
    let mut command = program("lighttpd")?;
    command.arg("-D").arg("-f").arg(config);
    // As apache.
    command.process_group(0);
    Ok(command)
}

fn program(name: &str) -> Result<Command, String> {
    let path = find_program(&[name])
        .ok_or_else(|| format!("{name} is missing; install it by:\n    scripts/install-deps.sh peers"))?;
    Ok(Command::new(path))
}

fn spaced(addresses: &[std::net::SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
