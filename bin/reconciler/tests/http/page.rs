//! The page for people.

use std::path::Path;

use crate::asking::{NEVER, TOKEN, ask, job, with_token};
use crate::browser::Browser;
use crate::common::{Deployment, Served, config};

/// A name with no place to break it, and one that must not become markup.
const NAME: &str = "production-of-a-company-with-a-long-name-and-no-blank-in-it-anywhere<b>&</b>";

/// A deployment with something done and something to look at.
fn served() -> (Deployment, Served) {
    let deployment = with_token(&format!(
        "deployment: {{name: '{NAME}'}}\n\
         reconcile: {{backup_horizon: 0s, windows: {{orphan_ttl: 0s}}, guards: {{share_from: 1}}}}\n{NEVER}"
    ));
    deployment.put(&config("kept"));
    let gone = deployment.put(&config("gone"));
    deployment.run(&["document", "remove", &gone]).done();
    let served = deployment.serve(&[]);
    for name in ["verify-blobs", "expire-orphans"] {
        let path = format!("/jobs/{name}/run");
        assert_eq!(ask(&served, "POST", &path, Some(TOKEN)).code, 202);
        served.wait_for(name, |status| job(status, name)["runs"] == 1);
    }
    (deployment, served)
}

pub fn it_says_how_things_stand() {
    let (_deployment, served) = served();
    let answer = ask(&served, "GET", "/", None);
    assert!(
        answer.has_header("content-type: text/html; charset=utf-8"),
        "{}",
        answer.head
    );
    let text = &answer.body;
    for words in [
        "One thing needs attention.",
        "The guard share stopped expire-orphans",
        "checked 1 reference in 1 document",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("<b>") && !text.contains("<script"), "{text}");
    assert_eq!(served.terminate().0, Some(0));
}

pub fn on_a_phone_and_a_screen(program: &Path) {
    let (_deployment, served) = served();
    let url = format!("http://{}/", served.address);
    let mut browser = Browser::start(program);
    let mut backgrounds = Vec::new();
    for (width, height, dark) in [
        (320, 640, false),
        (360, 740, true),
        (412, 915, false),
        (1280, 800, false),
    ] {
        browser.open(&url, width, height, dark);
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} at {width}");
        let sticking_out = "[...document.querySelectorAll('body *')]\
             .filter(it => it.getBoundingClientRect().right > innerWidth + 0.5)\
             .map(it => it.outerHTML.slice(0, 80)).join()";
        assert_eq!(browser.evaluate(sticking_out), "", "at {width}");
        let text = browser.evaluate("document.body.innerText");
        let text = text.as_str().unwrap();
        for words in [
            NAME,
            "One thing needs attention.",
            "The guard share stopped expire-orphans",
            "verify-blobs",
            "delete-superseded",
            "not yet run",
            "Last success",
            "embedded",
            "stored",
        ] {
            assert!(text.contains(words), "{words} at {width}: {text}");
        }
        // The style sheet came through the content policy.
        let margin = browser.evaluate("getComputedStyle(document.querySelector('dd')).textAlign");
        assert_eq!(margin, "right");
        let size = browser.evaluate("parseFloat(getComputedStyle(document.body).fontSize)");
        assert!(size.as_f64() >= Some(16.0), "{size}");
        backgrounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{width}.png"));
        std::fs::write(picture, browser.picture()).unwrap();
    }
    assert_ne!(backgrounds[0], backgrounds[1], "dark is dark");
    drop(browser);
    assert_eq!(served.terminate().0, Some(0));
}
