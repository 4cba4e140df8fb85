module example.com/routeplane-client

go 1.23
