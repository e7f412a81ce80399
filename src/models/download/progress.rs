//! Shows how far a download is: a bar on a terminal, lines in a log.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// One download's progress.
pub(super) enum Progress {
    Bar(ProgressBar),
    Log {
        label: String,
        total: Option<u64>,
        /// Tenths that were told already.
        told: u64,
    },
}

impl Progress {
    /// `total` in bytes, if it is known.
    pub(super) fn new(label: &str, total: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Log {
                label: label.to_owned(),
                total,
                told: 0,
            };
        }
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well-formed"));
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar)
    }

    /// `bytes` are here now.
    pub(super) fn at(&mut self, bytes: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(bar.length().map_or(bytes, |total| bytes.min(total)))
            }
            Self::Log { label, total, told } => {
                let Some(total) = total.filter(|total| *total > 0) else {
                    return;
                };
                let tenths = bytes.saturating_mul(10) / total;
                if tenths > *told {
                    *told = tenths;
                    tracing::info!(file = %label, percent = (tenths * 10).min(100), "downloading");
                }
            }
        }
    }

    /// What was not known at the start.
    pub(super) fn set_total(&mut self, bytes: u64) {
        match self {
            Self::Bar(bar) => bar.set_length(bytes),
            Self::Log { total, .. } => *total = Some(bytes),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
