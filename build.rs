//! Makes the web client's directory when it was not built, so that Rust builds
//! without Node; the server then says that it has no web client.

fn main() {
    println!("cargo::rerun-if-changed=web-client/dist");
    if let Err(error) = std::fs::create_dir_all("web-client/dist") {
        println!("cargo::warning=web-client/dist can't be created: {error}");
    }
}
