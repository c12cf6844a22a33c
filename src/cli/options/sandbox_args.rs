//! Options for a stand-in in place of the system. They apply to one command and are not settings.

use crate::run::SandboxRequest;
use clap::Args;

/// A stand-in inside of the process.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub(in crate::cli) struct SandboxArgs {
    /// Start a stand-in of the system and work on that; no credentials are needed
    #[arg(long)]
    sandbox: bool,
    /// A fault of the stand-in; may be given several times
    ///
    /// Example: --sandbox-fault patch:500-after:every=3
    #[arg(
        long,
        requires = "sandbox",
        value_name = "FAULT",
        hide_short_help = true
    )]
    sandbox_fault: Vec<String>,
    /// How long the stand-in takes to answer [default: 0s]
    ///
    /// Example: --sandbox-latency 80ms
    #[arg(
        long,
        requires = "sandbox",
        value_name = "DURATION",
        hide_short_help = true
    )]
    sandbox_latency: Option<String>,
    /// How many customers the stand-in has besides those of the file [default: 0]
    ///
    /// Example: --sandbox-customers 1000
    #[arg(long, requires = "sandbox", value_name = "N", hide_short_help = true)]
    sandbox_customers: Option<u32>,
}

impl SandboxArgs {
    /// Returns the typed options.
    pub(in crate::cli) fn request(&self) -> SandboxRequest {
        SandboxRequest {
            sandbox: self.sandbox,
            faults: self.sandbox_fault.clone(),
            latency: self.sandbox_latency.clone(),
            customers: self.sandbox_customers.unwrap_or(0),
        }
    }
}
