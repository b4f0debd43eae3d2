// Package guard owns which requests of a network a server of this machine answers at
// all: by the name that they were sent to, the page of a browser that they come from,
// and the token that they bear.
//
// Laws:
//   - A server on this machine is not a server for the pages that its users look at. A
//     request that a page makes is refused, whether the page would see the answer or not.
//   - A name that is not known to lead here is refused: somebody else's name server can
//     lead a page here by a name of its own, and the browser takes that for the page's
//     server.
//   - Nothing is told from the size or the time of a refusal but that it is one.
//   - Whoever can open a unix socket of this machine is no page, and its permissions say
//     who that is: neither a name nor a token counts there.
package guard
