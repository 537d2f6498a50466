//! What a script prints, and what of it goes out.

use crate::files::each;
use crate::support::compare::Asked;

/// Of `reply.php`.
const QUERIES: &[&str] = &[
    "",
    "b=",
    "n=100000",
    "s=204",
    "s=204&b=",
    "s=304",
    "s=201&h[]=Location:%20/new",
    "s=301&h[]=Location:%20/new",
    "h[]=Location:%20/new?a=%2541",
    "h[]=Location:%20http://other.example/",
    "s=400",
    "s=404",
    "s=404&b=",
    "s=500",
    "s=503&h[]=Retry-After:%205",
    "h[]=Status:%20418%20Teapot",
    "h[]=Content-Type:%20text/plain",
    "h[]=Content-Type:%20text/plain;charset=GBK",
    "h[]=Content-Type:%20application/json",
    "h[]=Content-Type:",
    "h[]=Content-Length:%204",
    "h[]=Set-Cookie:%20a=1&h[]=Set-Cookie:%20b=2;%20Path=/",
    "h[]=Link:%20%3C/a%3E&h[]=Link:%20%3C/b%3E",
    "h[]=Cache-Control:%20no-store&h[]=Expires:%200&h[]=Pragma:%20no-cache",
    "h[]=ETag:%20%22x%22&h[]=Last-Modified:%20Tue,%2002%20Jan%202024%2003:04:05%20GMT",
    "h[]=Content-Encoding:%20gzip",
    "h[]=Connection:%20close",
    "h[]=Connection:%20keep-alive&h[]=Keep-Alive:%20timeout=5",
    "h[]=Transfer-Encoding:%20chunked",
    "h[]=Upgrade:%20h2c",
    "h[]=Accept-Ranges:%20bytes",
    "h[]=Content-Range:%20bytes%200-3/4",
    "h[]=Vary:%20Cookie",
    "h[]=X-Own:%20%E4%B8%AD",
    "h[]=X-Own:",
    "h[]=X-Accel-Expires:%200",
    "h[]=X-Accel-Buffering:%20no",
    "h[]=Refresh:%205;url=/a",
    "h[]=WWW-Authenticate:%20Basic&s=401",
    "h[]=Content-Disposition:%20attachment",
];

pub fn replies() -> Vec<Asked> {
    let gets = QUERIES.iter().map(|query| Asked::get(&format!("/reply.php?{query}")));
    let heads = ["", "n=100000", "h[]=Content-Length:%204", "s=404", "s=304", "h[]=Location:%20/new"]
        .map(|query| Asked::with("HEAD", &format!("/reply.php?{query}"), &[]));
    // nginx holds these against the headers of php's reply.
    let tagged =
        "/reply.php?h[]=ETag:%20%22x%22&h[]=Last-Modified:%20Tue,%2002%20Jan%202024%2003:04:05%20GMT";
    let conditional = each(
        tagged,
        &[
            &["If-None-Match: \"x\""],
            &["If-Modified-Since: Tue, 02 Jan 2024 03:04:05 GMT"],
            &["Range: bytes=0-1"],
        ],
    );
    gets.chain(heads).chain(conditional).collect()
}
