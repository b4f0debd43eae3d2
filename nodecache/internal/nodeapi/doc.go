// Package nodeapi owns how a node is spoken to: the HTTP interface that node.yaml
// describes, its stream of events, its metrics, and the leases that are taken over
// its unix socket.
//
// Laws:
//   - Nothing from a client is used before it is checked, and no client can make
//     the node hold more memory than a small document of its own.
//   - A lease is a connection. However that ends, the lease does: by the client,
//     by its death, by a client that stops to read, by the node.
//   - A client gets descriptors of those segments only that its version lies in,
//     open for reading.
//   - Every failure is an openapi.Error. What is not for the client goes to the
//     log, under an id that the client is told.
//   - The Guard judges a request before anything else looks at it, whatever answers it.
//   - Wait returns after everything that was started has ended.
//
// What a node holds and does is not known here: see Node.
package nodeapi
