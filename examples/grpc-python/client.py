"""Lists the keys of a namespace over gRPC, page by page."""

import os
import sys

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "gen"))

from routeplane.auth.v1 import key_service_pb2, key_service_pb2_grpc  # noqa: E402


def main(address: str) -> int:
    # For a node with TLS, use grpc.secure_channel(address, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(address) as channel:
        keys = key_service_pb2_grpc.KeyServiceStub(channel)
        credential = (("authorization", f"Bearer {os.environ['ROUTEPLANE_API_KEY']}"),)
        request = key_service_pb2.ListKeysRequest(page_size=100)
        try:
            while True:
                page = keys.ListKeys(request, metadata=credential, timeout=5)
                for key in page.keys:
                    print(key.id, key.name, " ".join(key.scopes))
                if not page.next_page_token:
                    return 0
                request.page_token = page.next_page_token
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
