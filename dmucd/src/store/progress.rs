//! Progress for people: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dmuc_server_adapter::transfer::{Phase, Progress};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(10);
const BAR: &str = "{msg:>9} [{wide_bar}] {human_pos} of {human_len}, {eta} to go";
const SPINNER: &str = "{msg:>9} {spinner} {human_pos}";

/// Standard error.
pub struct Shown {
    bar: ProgressBar,
    /// Where there is no terminal: when the next line is due.
    lines: Option<Mutex<Instant>>,
}

impl Shown {
    pub fn new() -> Self {
        let lines = (!std::io::stderr().is_terminal()).then(|| Mutex::new(Instant::now()));
        let bar = if lines.is_some() { ProgressBar::hidden() } else { ProgressBar::no_length() };
        Self { bar, lines }
    }

    /// Writes a line to standard output, the bar stays below.
    pub fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    /// Clears the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self) {
        let of = self.bar.length().map(|length| format!(" of {length}")).unwrap_or_default();
        eprintln!("{} {}{of}", self.bar.message(), self.bar.position());
    }

    fn is_due(&self) -> bool {
        let Some(next) = &self.lines else { return false };
        let (now, mut next) = (Instant::now(), next.lock().unwrap_or_else(PoisonError::into_inner));
        let is_due = *next <= now;
        if is_due {
            *next = now + LINES_EVERY;
        }
        is_due
    }
}

impl Progress for Shown {
    fn begin(&self, phase: Phase, steps: Option<u64>) {
        let template = if steps.is_some() { BAR } else { SPINNER };
        self.bar.set_style(ProgressStyle::with_template(template).expect("a template that is tested"));
        match steps {
            Some(steps) => self.bar.set_length(steps),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(name(phase));
        self.bar.reset();
        self.is_due();
        if self.lines.is_some() {
            self.line();
        }
    }

    fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        if self.is_due() {
            self.line();
        }
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Counting => "counting",
        Phase::Comparing => "comparing",
        Phase::Copying => "copying",
        Phase::Verifying => "verifying",
        Phase::Checking => "checking",
        _ => "working",
    }
}
