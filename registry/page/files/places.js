// The addresses of the page and of what it asks: what they are made of, and what they
// mean. The registry may lie below a path of a proxy, so all of them begin with where
// this file came from: ROOT/ui/-/BUILD/places.js.

export const root = new URL("../../../", import.meta.url);

const part = encodeURIComponent;
const parts = (name) => name.split("/").map(part).join("/");

/** at is the whole address of what lies below the registry's root. */
export const at = (path) => root.pathname + path;

export const home = () => at("ui/");
export const storage = () => at("ui/-/storage");
export const nodes = () => at("ui/-/nodes");
export const signIn = (back) => at(`ui/-/signin${back ? `?to=${part(back)}` : ""}`);
export const namespace = (name) => at(`ui/${part(name)}`);
export const model = (name) => at(`ui/${parts(name)}`);
/** version: of a tag or a digest; against is a reference that it is compared with. */
export const version = (name, rev, against) =>
	`${model(name)}/${part(rev)}${against ? `/map?against=${part(against)}` : ""}`;
export const diff = (a, b) => at(`ui/-/diff?a=${part(a)}&b=${part(b)}`);
export const asset = (name) => new URL(name, import.meta.url).pathname;

/** repo is where the operations of a repository are. */
export const repo = (name) => `v1/repos/${parts(name)}`;

/** read tells which view an address means, and of what: null for none. */
export function read(url) {
	if (url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) return null;
	const path = url.pathname.slice(root.pathname.length).replace(/\/+$/, "");
	if (path === "" || path === "ui") return { view: "home" };
	const words = path.split("/");
	if (words.shift() !== "ui") return null;
	if (words[0] === "-") {
		return words.length === 2 && ["storage", "nodes", "diff", "signin"].includes(words[1]) ? { view: words[1] } : null;
	}
	try {
		const [ns, name, rev, more] = words.map(decodeURIComponent);
		if (words.length > 4 || words.length === 4 && more !== "map") return null;
		if (name === undefined) return { view: "home", namespace: ns };
		return { view: rev === undefined ? "model" : "version", name: `${ns}/${name}`, rev };
	} catch { // not percent-encoded as it should be
		return null;
	}
}
