// Package gate owns holding the requests for an HTTP service until the model that
// it needs is there: a reverse proxy in front of a server that may be away and of
// a model that may have left this machine.
//
// Laws:
//   - A request reaches the service only while the model is leased and after the
//     service has said that it is ready, and once: what could not be delivered is
//     held again only if nothing of it was sent.
//   - However many requests wait, the model is asked for once.
//   - Nobody waits beyond the deadline, or after the gate is told to end: the
//     answer is 503, with the reason and with Retry-After.
//   - A request that waits costs its header: no body is read before it goes
//     through. The number of those who wait is bounded.
//   - The lease ends when there was no request for the idle time, so that the node
//     may drop the model, and not before.
package gate
