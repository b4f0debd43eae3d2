package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

// What a node and one of its models take in a list at most, in bytes: the JSON and
// what it is made of.
const (
	listedNode  = 1 << 10
	listedModel = 512
)

// reportShare is how many times its length a report and the work on it take.
const reportShare = 16

func (a *API) reportNode(c echo.Context) error {
	doc, release, err := a.document(c, mediaJSON, openapi.MaxNodeReport, reportShare)
	if err != nil {
		return err
	}
	defer release()
	var report openapi.NodeReport
	if err := parseComplete(doc, &report); err != nil {
		return err
	}
	return done(c, a.nodes.Report(a.principal(c.Request()), c.Param("node"), report))
}

func (a *API) forgetNode(c echo.Context) error {
	return done(c, a.nodes.Forget(a.principal(c.Request()), c.Param("node")))
}

// listNodes answers with a list that may be long.
func (a *API) listNodes(c echo.Context) error {
	r := c.Request()
	list, err := a.nodes.List(a.principal(r), c.QueryParam("repo"))
	if err != nil {
		return err
	}
	var size int64
	for i := range list.Nodes {
		size += listedNode + listedModel*int64(len(list.Nodes[i].Models))
	}
	release, err := a.reserve(r.Context(), size)
	if err != nil {
		return err
	}
	defer release()
	return sendJSON(c, http.StatusOK, list)
}
