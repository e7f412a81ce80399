//! The page is embedded into the program: say so clearly when it was not built.

fn main() {
    println!("cargo::rerun-if-changed=frontend/dist");
    if !std::path::Path::new("frontend/dist/index.html").exists() {
        println!(
            "cargo::error=the page is not built; run `make build`, or \
             `cd frontend && npm ci && npm run build` first"
        );
    }
}
