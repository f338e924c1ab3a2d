// A Grafana data source for Flight SQL, as its makers would write one: the Grafana SDK, arrow-go and
// golang.org/x/oauth2, each used the plain way. It is a subject of flightcheck and knows nothing of it.
package main

import (
	"os"

	"github.com/grafana/grafana-plugin-sdk-go/backend/datasource"
	"github.com/grafana/grafana-plugin-sdk-go/backend/log"
)

func main() {
	err := datasource.Manage("flightcheck-flightsql-datasource", newDatasource, datasource.ManageOpts{})
	if err != nil {
		log.DefaultLogger.Error("the plugin ends", "error", err)
		os.Exit(1)
	}
}
