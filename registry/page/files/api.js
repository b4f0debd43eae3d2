// Asks the registry. The session's cookie goes along by itself; what is read is kept
// for as long as a view is likely to come back to it. Paths are below the registry's root.

import { root } from "./places.js";

/** Failure is an answer that says what went wrong. */
export class Failure extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

const keep = 20_000; // ms that an answer serves again
const kept = new Map(); // path → { at, promise }

/** get returns a JSON document; what was read a moment ago is not asked for again. */
export function get(path) {
	const old = kept.get(path);
	if (old && performance.now() - old.at < keep) return old.promise;
	const promise = ask(path);
	kept.set(path, { at: performance.now(), promise });
	promise.catch(() => kept.delete(path));
	if (kept.size > 200) kept.delete(kept.keys().next().value);
	return promise;
}

/** fresh asks again, whatever is kept. */
export function fresh(path) {
	kept.delete(path);
	return get(path);
}

/** forget drops all that is kept: another person reads from now on. */
export function forget() {
	kept.clear();
	renewed = undefined;
}

let renewed; // what was done about a session that has ended

/**
 * ask sends one request and returns its document, undefined for an empty one. A session
 * that has ended is refused even what anybody may read: it is dropped, once, and the
 * question asked again.
 */
export async function ask(path, options) {
	try {
		return await once(path, options);
	} catch (e) {
		if (e.status !== 401 || options !== undefined) throw e;
		renewed ??= once("v1/session", { method: "DELETE" }).catch(() => null);
		await renewed;
		return once(path);
	}
}

async function once(path, options) {
	let answer;
	try {
		answer = await fetch(new URL(path, root), options);
	} catch {
		throw new Failure(0, "unreachable", "the registry cannot be reached");
	}
	if (answer.status === 204) return undefined;
	const type = answer.headers.get("Content-Type") ?? "";
	const body = type.includes("json") ? await answer.json().catch(() => null) : null;
	if (answer.ok && body !== null) return body;
	const error = body?.error;
	throw new Failure(answer.status, error?.code ?? "", error?.message ?? `the registry answered ${answer.status}`);
}

/** send puts a JSON document. */
export const send = (method, path, body) => ask(path, {
	method,
	headers: body === undefined ? {} : { "Content-Type": "application/json" },
	body: body === undefined ? undefined : JSON.stringify(body),
});
