//! What the audience sees.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use dmuc_server_adapter::host::Link;

/// The terminal, or whatever stands in for it.
pub struct Screen {
    colour: bool,
    pause: Duration,
}

impl Screen {
    /// Standard output; `pause` is how long a line may be looked at.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { colour: io::stdout().is_terminal(), pause }
    }

    fn line(&self, code: &str, text: &str) {
        let mut out = io::stdout().lock();
        // Nobody is there to be told if standard output is gone.
        let _ =
            if self.colour { writeln!(out, "\x1b[{code}m{text}\x1b[0m") } else { writeln!(out, "{text}") };
    }

    /// A new act.
    pub async fn act(&self, text: &str) {
        self.line("1;36", &format!("\n== {text}"));
        tokio::time::sleep(self.pause).await;
    }

    /// What somebody does.
    pub async fn does(&self, who: &str, what: &str) {
        self.line("33", &format!("  {who:<26} {what}"));
        tokio::time::sleep(self.pause).await;
    }

    /// What somebody sees of it.
    pub fn sees(&self, who: &str, what: &str) {
        self.line("0", &format!("    {who:<26} sees: {what}"));
    }

    /// A remark.
    pub fn note(&self, text: &str) {
        self.line("2", &format!("    {text}"));
    }

    /// Something that is as it should be.
    pub fn good(&self, text: &str) {
        self.line("1;32", &format!("  {text}"));
    }

    /// Something that is not (yet).
    pub fn bad(&self, text: &str) {
        self.line("1;31", &format!("  {text}"));
    }

    /// Stanzas that crossed between the rooms' services since `before`.
    pub fn crossed(&self, before: &[Link], now: &[Link]) {
        let of = |links: &[Link], link: &Link| {
            let known = links.iter().find(|known| known.from == link.from && known.to == link.to);
            known.map_or((0, 0), |link| (link.stanzas, link.lost))
        };
        for link in now.iter().filter(|link| is_service(&link.from) && is_service(&link.to)) {
            let (had, had_lost) = of(before, link);
            let (crossed, lost) = (link.stanzas - had, link.lost - had_lost);
            if link.from != link.to && crossed + lost > 0 {
                let cut = if lost > 0 { format!(", {lost} did not get through") } else { String::new() };
                self.note(&format!("{} -> {}: {crossed} stanza{}{cut}", link.from, link.to, plural(crossed)));
            }
        }
    }
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn is_service(domain: &str) -> bool {
    super::stage::SITES.iter().any(|(_, rooms)| *rooms == domain)
}

/// The histories of several instances side by side: a row for each message that any of them has.
pub fn table(screen: &Screen, sites: &[&str], histories: &[Vec<Line>]) {
    let mut all: Vec<&Line> = histories.iter().flatten().collect();
    all.sort();
    all.dedup();
    let head: String = sites.iter().map(|site| format!(" {site:^24}")).collect();
    screen.note(&format!("{:<44}{head}", "message"));
    for line in all {
        let marks: String = histories
            .iter()
            .map(|history| format!(" {:^24}", if history.contains(line) { "x" } else { "-" }))
            .collect();
        let text = format!("{}: {}", line.nick, line.text);
        screen.note(&format!("{:<44}{marks}", text.chars().take(43).collect::<String>()));
    }
}

/// One message of a history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// When it was said, by its origin.
    pub stamp: String,
    /// Its name, the same everywhere.
    pub id: String,
    /// Who said it.
    pub nick: String,
    /// What was said.
    pub text: String,
}
