// The page as a whole: which view is shown, the keys, and the theme.

import { h, put } from "./dom.js";
import { Failure } from "./api.js";
import * as places from "./places.js";
import * as keys from "./keys.js";
import { turn } from "./theme.js";
import { account } from "./account.js";
import { home } from "./views/home.js";
import { model } from "./views/model.js";
import { version } from "./views/version.js";
import { diff } from "./views/diff.js";
import { storage } from "./views/storage.js";
import { nodes } from "./views/nodes.js";
import { signin } from "./views/signin.js";

const views = { home, model, version, diff, storage, nodes, signin };

const main = h("main", { id: "main", tabindex: "-1" });
const links = [
	["home", places.home(), "Models"],
	["storage", places.storage(), "Storage"],
	["nodes", places.nodes(), "Nodes"],
];
let leave = new AbortController(); // ends what the view that is shown has going on

/** show draws the view of the page's address. A view resolves to its element. */
async function show() {
	leave.abort();
	leave = new AbortController();
	const { signal } = leave;
	const url = new URL(location.href);
	const place = places.read(url);
	mark(place?.view);
	document.title = "ingot";
	const waiting = setTimeout(() => { if (!signal.aborted) put(main, h("p", { class: "waiting" }, "Reading …")); }, 150);
	let drawn;
	try {
		if (!place) throw new Failure(404, "not_found", "there is no such page");
		drawn = await views[place.view]({ ...place, query: url.searchParams, hash: url.hash, signal, go });
	} catch (e) {
		drawn = failed(e, url);
	}
	clearTimeout(waiting);
	if (signal.aborted) return;
	put(main, drawn);
	main.dataset.view = place?.view ?? "none"; // a view is drawn whole when this is set
	main.dataset.at = url.pathname + url.search;
	document.title = main.querySelector("h1")?.textContent.trim() ? `${main.querySelector("h1").textContent.trim()} · ingot` : "ingot";
}

/** failed is what is shown in place of a view. */
function failed(e, url) {
	if (e instanceof Failure && e.status === 401) {
		return h("section", { class: "failed" }, h("h1", {}, "Sign in to see this"),
			h("p", {}, "This registry shows it to those it knows."),
			h("p", {}, h("a", { class: "button", href: places.signIn(url.pathname + url.search) }, "Sign in")));
	}
	if (!(e instanceof Failure)) console.error(e);
	const missing = e instanceof Failure && e.status === 404;
	return h("section", { class: "failed" },
		h("h1", {}, missing ? "Not found" : "That did not work"),
		h("p", {}, e instanceof Failure ? e.message : "The page has a mistake; the browser's console says where."),
		h("p", {}, missing ? h("a", { href: places.home() }, "All models") : h("button", { onclick: show }, "Try again")));
}

/** go shows another address. */
export function go(href, replace = false) {
	if (replace) history.replaceState(null, "", href);
	else history.pushState(null, "", href);
	scrollTo(0, 0);
	return show();
}

function mark(view) {
	for (const a of document.querySelectorAll("header nav a")) {
		const here = a.dataset.view === view || (a.dataset.view === "home" && ["model", "version", "diff"].includes(view));
		if (here) a.setAttribute("aria-current", "page");
		else a.removeAttribute("aria-current");
	}
}

/** Links of the page itself are followed without loading it again. */
function follow(event) {
	if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
	const a = event.target.closest?.("a[href]");
	if (!a || a.target || a.origin !== location.origin || !places.read(new URL(a.href))) return;
	if (a.hash && a.pathname === location.pathname && a.search === location.search) return;
	event.preventDefault();
	go(a.href);
}

function shell() {
	const brand = h("a", { class: "brand", href: places.home(), "aria-label": "ingot, all models" },
		h("img", { src: places.asset("icon.svg"), alt: "", width: 26, height: 26 }), "ingot");
	const nav = h("nav", { "aria-label": "Views" }, links.map(([view, href, text]) => h("a", { href, "data-view": view }, text)));
	const tools = h("div", { class: "tools" },
		account(go),
		h("button", { class: "plain", title: "Keys (?)", "aria-label": "Keys", onclick: keys.help }, "?"),
		h("button", { class: "plain theme", title: "Light or dark (t)", "aria-label": "Light or dark", onclick: turn }, h("i", {})));
	put(document.body,
		h("a", { class: "skip", href: "#main" }, "To the content"),
		h("header", { class: "top" }, brand, nav, tools), main,
		h("footer", {}, h("a", { href: places.at("docs"), target: "_self" }, "HTTP interface"), h("span", {}, "every byte verified by BLAKE3")));
}

// The icon's address is relative to the page's, which changes.
for (const icon of document.querySelectorAll("link[rel=icon]")) icon.href = new URL(icon.href).href;
shell();
keys.listen({ go, turn });
document.addEventListener("click", follow);
addEventListener("popstate", () => { if (main.dataset.at !== location.pathname + location.search) show(); });
show();
