"""Sends the laundry's invoice as a point of sale would that has only grpcio and the gateway's reflection.

usage: integrator.py HOST:PORT API_KEY RECIPIENT
"""

import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, key, recipient = sys.argv[1:]
channel = grpc.insecure_channel(address)
database = ProtoReflectionDescriptorDatabase(channel)
services = database.get_services()
assert "barid.queue.v1.MessageService" in services, services
assert "barid.queue.v1.LedgerService" not in services, "internal services are not shown"

pool = descriptor_pool.DescriptorPool(database)
method = pool.FindServiceByName("barid.queue.v1.MessageService").FindMethodByName("SendMessage")
Request = message_factory.GetMessageClass(method.input_type)
Response = message_factory.GetMessageClass(method.output_type)
send = channel.unary_unary(
    "/barid.queue.v1.MessageService/SendMessage",
    request_serializer=lambda message: message.SerializeToString(),
    response_deserializer=Response.FromString,
)
metadata = (("authorization", f"Bearer {key}"),)


def request(number):
    return json_format.ParseDict(
        {
            "recipient": number,
            "template": "invoice",
            "variables": {
                "customerName": "Ahmed Mohamed",
                "invoiceNumber": "INV-2024-001",
                "totalAmount": "50.00",
                "currency": "EGP",
                "dueDate": "2024-01-15",
                "items": [
                    {"service": "Dry Cleaning", "quantity": 3, "price": "30.00"},
                    {"service": "Pressing", "quantity": 5, "price": "20.00"},
                ],
            },
            "mediaUrl": "https://storage.example.com/invoices/inv-001.pdf",
        },
        Request(),
        descriptor_pool=pool,
    )


try:
    send(request("12"), metadata=metadata, timeout=10)
except grpc.RpcError as error:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(details)
    violations = error_details_pb2.BadRequest()
    assert any(detail.Unpack(violations) for detail in status.details), status
    print(error.code().name, violations.field_violations[0].field)

message = send(request(recipient), metadata=metadata, timeout=10)
print("sent", message.id)
