"""The messages of QCS's translation and controller services, by their published interface.

``google.protobuf`` makes the classes from the table at import: no generated code is kept. Members
of a ``oneof`` stand as ordinary fields, which are the same bytes.
"""

import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TABLE = """
JobEncryption: string key_id 1, bytes nonce 2
EncryptedControllerJob: bytes job 1, JobEncryption encryption 2
BinaryDataValue: bytes data 1
IntegerDataValue: repeated int64 data 1
RealDataValue: repeated double data 1
DataValue: BinaryDataValue binary 101, IntegerDataValue integer 102, RealDataValue real 103
JobExecutionConfiguration: map DataValue memory_values 3
IntegerReadoutValues: repeated int32 values 1
ReadoutValues: IntegerReadoutValues integer_values 1
ControllerJobExecutionResult: map DataValue memory_values 1, map ReadoutValues readout_values 2, \
int32 status 3, string status_message 4, uint64 execution_duration_microseconds 5
Duration: int64 seconds 1, int32 nanos 2
ExecutionOptions: bool bypass_settings_protection 3, Duration timeout 4
ExecuteControllerJobRequest: repeated JobExecutionConfiguration execution_configurations 3, \
ExecutionOptions options 4, EncryptedControllerJob encrypted 201, \
string quantum_processor_id 101, string endpoint_id 102
ExecuteControllerJobResponse: repeated string job_execution_ids 1
GetControllerJobResultsRequest: string job_execution_id 1, string quantum_processor_id 101, \
string endpoint_id 102
GetControllerJobResultsResponse: ControllerJobExecutionResult result 1
CancelControllerJobsRequest: repeated string job_ids 1, string quantum_processor_id 101, \
string endpoint_id 102
CancelControllerJobsResponse:
QuilTranslationMetadata: map string readout_mappings 1
BackendV2Options: bool prepend_default_calibrations 1, double passive_reset_delay_seconds 2
BackendV1Options:
TranslationOptions: BackendV1Options v1 101, BackendV2Options v2 102
TranslateRequest: string quantum_processor_id 1, string quil_program 2, uint32 num_shots_value 3, \
TranslationOptions options 4
TranslateResponse: EncryptedControllerJob job 1, QuilTranslationMetadata metadata 2
"""

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "double": _FIELD.TYPE_DOUBLE,
}


def _add_field(message, name, number, kind, *, repeated=False):
    field = message.field.add(name=name, number=int(number))
    field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".loopback.{kind}"


def _add_map(message, name, number, kind):
    entry = message.nested_type.add(
        name="".join(part.capitalize() for part in name.split("_")) + "Entry"
    )
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string")
    _add_field(entry, "value", 2, kind)
    _add_field(message, name, number, f"{message.name}.{entry.name}", repeated=True)


def _classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="loopback.proto", package="loopback", syntax="proto3"
    )
    for line in TABLE.strip().splitlines():
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name)
        for text in filter(None, re.split(r",\s*", fields.strip())):
            *how, kind, field, number = text.split()
            if how == ["map"]:
                _add_map(message, field, number, kind)
            else:
                _add_field(message, field, number, kind, repeated=how == ["repeated"])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        each.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"loopback.{each.name}")
        )
        for each in file.message_type
    }


MESSAGES = _classes()
