//! The page: a column of names, and beside it chapters of operations and, at the end, schemas.

use serde_json::Value;

use super::html::Html;
use super::schema::{self, name_of, place_of};

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><title>Posthouse API</title>\
<link rel=\"stylesheet\" href=\"/docs/style.css\"><script src=\"/docs/script.js\" defer></script></head><body>";

/// An operation with its method and path.
type Named<'a> = (&'a str, &'a str, &'a Value);

/// The whole page, from the description of the API.
pub(super) fn page(document: &Value) -> String {
    let mut page = Html::default();
    page.raw(HEAD).raw("<a class=\"skip\" href=\"#main\">To the text</a>");
    names(&mut page, document);
    page.raw("<main id=\"main\">");
    introduction(&mut page, document);
    for tag in tags(document) {
        page.raw("<section class=\"chapter\" id=\"").text(&chapter(tag)).raw("\"><h2>");
        page.text(text(&tag["name"])).raw("</h2><p>").prose(text(&tag["description"])).raw("</p>");
        for one in of_tag(document, tag) {
            operation(&mut page, document, one);
        }
        page.raw("</section>");
    }
    schemas(&mut page, document);
    page.raw("<p class=\"none quiet\" id=\"none\" hidden>Nothing has this in its name.</p></main></body></html>\n");
    page.into_text()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn tags(document: &Value) -> impl Iterator<Item = &Value> {
    document["tags"].as_array().into_iter().flatten()
}

/// A chapter's place on the page.
fn chapter(tag: &Value) -> String {
    format!("chapter-{}", text(&tag["name"]).to_lowercase().replace(' ', "-"))
}

/// The operations of a chapter: paths in their order, and of a path reading before writing.
fn of_tag<'a>(document: &'a Value, tag: &Value) -> Vec<Named<'a>> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| METHODS.map(|method| (method, &**path, &methods[method])));
    all.filter(|(_, _, one)| one["tags"][0] == tag["name"]).collect()
}

/// The column of names.
fn names(page: &mut Html, document: &Value) {
    page.raw("<nav aria-label=\"Contents\"><p class=\"brand\"><a href=\"#main\">Posthouse</a> <span>API ");
    page.text(text(&document["info"]["version"])).raw("</span></p>");
    page.raw("<input id=\"filter\" type=\"search\" placeholder=\"Filter ( / )\" aria-label=\"Filter\" hidden>");
    for tag in tags(document) {
        page.raw("<div class=\"group\"><h2>").link(&chapter(tag), text(&tag["name"])).raw("</h2><ul>");
        for (method, path, one) in of_tag(document, tag) {
            let id = text(&one["operationId"]);
            page.raw("<li data-find=\"").text(&found_by(method, path, one)).raw("\"><a href=\"#").text(id).raw("\">");
            page.text(text(&one["summary"])).raw(" ");
            badge(page, method);
            page.raw("</a></li>");
        }
        page.raw("</ul></div>");
    }
    page.raw("<div class=\"group\"><h2><a href=\"#schemas\">Schemas</a></h2></div></nav>");
}

/// What the filter looks in.
fn found_by(method: &str, path: &str, one: &Value) -> String {
    format!("{method} {path} {} {}", text(&one["summary"]), text(&one["operationId"])).to_lowercase()
}

fn badge(page: &mut Html, method: &str) {
    page.raw("<span class=\"method ").text(method).raw("\">").text(&method.to_uppercase()).raw("</span>");
}

fn introduction(page: &mut Html, document: &Value) {
    page.raw("<header><h1>Posthouse API</h1>");
    for paragraph in text(&document["info"]["description"]).split("\n\n") {
        page.raw("<p>").prose(paragraph).raw("</p>");
    }
    page.raw(
        "<p>The same for programs: <a href=\"/openapi.json\">openapi.json</a>. The examples read two variables:</p>",
    );
    code(page, "export POSTHOUSE_URL=http://127.0.0.1:8080\nexport POSTHOUSE_KEY=\"$(posthouse key create)\"");
    page.raw("</header>");
}

fn code(page: &mut Html, text: &str) {
    page.raw("<pre><code>").text(text).raw("</code></pre>");
}

fn operation(page: &mut Html, document: &Value, (method, path, one): Named<'_>) {
    let id = text(&one["operationId"]);
    page.raw("<article id=\"").text(id).raw("\" data-find=\"").text(&found_by(method, path, one)).raw("\"><h3>");
    page.link(id, text(&one["summary"])).raw("</h3><p class=\"path\">");
    badge(page, method);
    page.raw(" <code>").text(path).raw("</code>");
    let is_open = one["security"].as_array().is_some_and(Vec::is_empty);
    page.raw(" <span class=\"quiet\">needs ").prose(one["x-needs"].as_str().unwrap_or("no key")).raw("</span></p>");
    if one["description"].is_string() {
        page.raw("<p>").prose(text(&one["description"])).raw("</p>");
    }
    parameters(page, one);
    let body = &one["requestBody"]["content"]["application/json"]["schema"];
    if let Some(name) = name_of(body) {
        page.raw("<h4>Body <span class=\"type\">").link(&place_of(name), name).raw("</span></h4>");
        schema::properties(page, &document["components"]["schemas"][name]);
    }
    page.raw("<h4>Example</h4>");
    let example = name_of(body).map(|name| &document["components"]["schemas"][name]["examples"][0]);
    code(page, &curl(method, path, is_open, example));
    answers(page, document, one);
    page.raw("</article>");
}

fn parameters(page: &mut Html, one: &Value) {
    let all: Vec<&Value> = one["parameters"].as_array().into_iter().flatten().collect();
    for (place, title) in [("path", "Path"), ("query", "Query"), ("header", "Header")] {
        let mut here = all.iter().filter(|parameter| parameter["in"] == place).peekable();
        if here.peek().is_none() {
            continue;
        }
        page.raw("<h4>").text(title).raw("</h4><dl class=\"values\">");
        for parameter in here {
            let required = parameter["required"] == true;
            let says = parameter["description"].as_str();
            schema::value(page, text(&parameter["name"]), required, &parameter["schema"], says);
        }
        page.raw("</dl>");
    }
}

fn answers(page: &mut Html, document: &Value, one: &Value) {
    page.raw("<h4>Answers</h4><ul class=\"answers\">");
    for (status, answer) in one["responses"].as_object().into_iter().flatten() {
        let common = answer["$ref"].as_str().and_then(|place| document.pointer(&place[1..]));
        let answer = common.unwrap_or(answer);
        page.raw("<li><span class=\"status s").text(&status[..1]).raw("\">").text(status).raw("</span> ");
        page.prose(text(&answer["description"]));
        let content = answer["content"].as_object().and_then(|all| all.values().next());
        if let Some(name) = content.and_then(|content| name_of(&content["schema"])) {
            page.raw(" <span class=\"type\">").link(&place_of(name), name).raw("</span>");
        }
        page.raw("</li>");
    }
    page.raw("</ul>");
}

/// A command that can be pasted once the variables of the path are set.
fn curl(method: &str, path: &str, is_open: bool, body: Option<&Value>) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!("${}", name.to_uppercase()),
        None => part.to_owned(),
    };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let mut words = vec!["curl".to_owned()];
    if method != "get" && !(method == "post" && body.is_some()) {
        words.push(format!("-X {}", method.to_uppercase()));
    }
    words.push(format!("\"$POSTHOUSE_URL{path}\""));
    if !is_open {
        words.push("\\\n  -H \"Authorization: Bearer $POSTHOUSE_KEY\"".to_owned());
    }
    if let Some(body) = body {
        let quoted = body.to_string().replace('\'', "'\\''");
        words.push(format!("\\\n  -H 'Content-Type: application/json' \\\n  -d '{quoted}'"));
    }
    words.join(" ")
}

fn schemas(page: &mut Html, document: &Value) {
    page.raw("<section class=\"chapter\" id=\"schemas\"><h2>Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        page.raw("<article id=\"").text(&place_of(name)).raw("\" data-find=\"").text(&name.to_lowercase());
        page.raw("\"><h3>").link(&place_of(name), name).raw("</h3>");
        if let Some(says) = schema["description"].as_str() {
            page.raw("<p>").prose(says).raw("</p>");
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            page.raw("<dl class=\"values\">");
            for choice in choices {
                let says = choice["description"].as_str();
                schema::value(page, text(&choice["const"]), false, &choice["type"], says);
            }
            page.raw("</dl>");
        } else if schema["type"] == "object" {
            schema::properties(page, schema);
        }
        page.raw("</article>");
    }
    page.raw("</section>");
}
