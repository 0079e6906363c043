//! A browser of a few lines: it follows redirects and shows the last page.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// Opens an address as a browser does, redirects included; gives the last status and page.
///
/// # Panics
/// When nobody answers.
pub async fn browse(address: &Url) -> (u16, String) {
    let mut address = address.clone();
    loop {
        let (status, head, body) = get(&address, None).await;
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        match location {
            Some(location) if (300..400).contains(&status) => address = address.join(&location).unwrap(),
            _ => return (status, body),
        }
    }
}

/// One GET on a connection of its own, under another host's name if one is given: status, head,
/// body.
///
/// # Panics
/// When nobody answers.
pub async fn get(address: &Url, host: Option<&str>) -> (u16, String, String) {
    let own = format!("{}:{}", address.host_str().unwrap(), address.port().unwrap());
    let mut stream = tokio::net::TcpStream::connect(&own).await.unwrap();
    let query = address.query().map(|query| format!("?{query}")).unwrap_or_default();
    let request = format!(
        "GET {}{query} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        address.path(),
        host.unwrap_or(&own)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}
