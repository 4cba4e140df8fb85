// Command routeplane-client lists the keys of a namespace over gRPC, page by page.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	authv1 "example.com/routeplane-client/gen/routeplane/auth/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func main() {
	if err := list(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", status.Code(err), status.Convert(err).Message())
		os.Exit(1)
	}
}

func list(address string) error {
	// For a node with TLS, use credentials.NewTLS(nil).
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	keys := authv1.NewKeyServiceClient(connection)
	credential := "Bearer " + os.Getenv("ROUTEPLANE_API_KEY")
	request := &authv1.ListKeysRequest{PageSize: 100}
	for {
		page, err := listPage(keys, request, credential)
		if err != nil {
			return err
		}
		for _, key := range page.Keys {
			fmt.Println(key.Id, key.Name, strings.Join(key.Scopes, " "))
		}
		if page.NextPageToken == "" {
			return nil
		}
		request.PageToken = page.NextPageToken
	}
}

func listPage(keys authv1.KeyServiceClient, request *authv1.ListKeysRequest, credential string) (*authv1.ListKeysResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return keys.ListKeys(metadata.AppendToOutgoingContext(ctx, "authorization", credential), request)
}
