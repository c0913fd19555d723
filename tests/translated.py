"""Checks what AWS is really asked for: template.yaml after the SAM translator. Run by .ci/template."""

import os
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).resolve().parent.parent
SERVICE_ROLE = "arn:aws:iam::aws:policy/service-role/"
LOGS = SERVICE_ROLE + "AWSLambdaBasicExecutionRole"
STREAM = SERVICE_ROLE + "AWSLambdaDynamoDBExecutionRole"
CUSTOMER_KEY = {"Fn::If": ["HasCustomerManagedKey", {"Ref": "UseCustomerManagedKey"}, {"Ref": "AWS::NoValue"}]}


def translate(template):
    # The translator runs after packaging and asks for code in S3.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-north-1")
    return Translator({}, Parser()).translate(template, {})["Resources"]


def main():
    sam = yaml_parse((ROOT / "template.yaml").read_text())
    sources = {name: r for name, r in sam["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    made = translate(sam)
    functions = of_type(made, "AWS::Lambda::Function")
    expect(set(functions) == set(sources), "each function becomes one function")
    expect(len({role_of(f) for f in functions.values()}) == len(functions), "each function has a role of its own")
    for name, function in functions.items():
        # The API is made after the functions, so a function that asks for it can never be made; linters miss that.
        expect("ServerlessHttpApi" not in str(function["Properties"]), f"{name} and the API wait for each other")
        check_role(name, made[role_of(function)]["Properties"], sources[name])
        check_triggers(name, sources[name]["Properties"]["Events"].values(), made)


def check_role(name, role, source):
    reads_stream = any(event["Type"] == "DynamoDB" for event in source["Properties"]["Events"].values())
    allowed = [LOGS] + [CUSTOMER_KEY] * ("Policies" in source["Properties"]) + [STREAM] * reads_stream
    expect(role["ManagedPolicyArns"] == allowed, f"{name}: managed policies are {role['ManagedPolicyArns']}")
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            expect("*" not in str([statement["Action"], statement["Resource"]]), f"{name}: a wildcard in {statement}")


def check_triggers(name, events, made):
    for event in events:
        wanted = event["Properties"]
        if event["Type"] == "HttpApi":
            method = wanted["Method"].lower().replace("any", "x-amazon-apigateway-any-method")
            integration = paths(made).get(wanted["Path"], {}).get(method, {}).get("x-amazon-apigateway-integration", {})
            expect(f"${{{name}.Arn}}" in str(integration.get("uri")), f"{name}: no route {wanted}")
            expect(integration.get("payloadFormatVersion") == "2.0", f"{name}: another form of events")
            expect(may_call("apigateway.amazonaws.com", name, made), f"{name}: the API may not call it")
        elif event["Type"] == "Schedule":
            rules = of_type(made, "AWS::Events::Rule").values()
            arn = {"Fn::GetAtt": [name, "Arn"]}
            expect(any(r["Properties"]["Targets"][0]["Arn"] == arn for r in rules), f"{name}: no schedule")
            expect(may_call("events.amazonaws.com", name, made), f"{name}: the schedule may not call it")
        else:
            mappings = of_type(made, "AWS::Lambda::EventSourceMapping").values()
            expect(any(m["Properties"]["FunctionName"] == {"Ref": name} for m in mappings), f"{name}: no stream")


def may_call(service, function, made):
    permissions = (p["Properties"] for p in of_type(made, "AWS::Lambda::Permission").values())
    return any(p["Principal"] == service and p["FunctionName"] == {"Ref": function} for p in permissions)


def paths(made):
    (api,) = of_type(made, "AWS::ApiGatewayV2::Api").values()
    return api["Properties"]["Body"]["paths"]


def role_of(function):
    return function["Properties"]["Role"]["Fn::GetAtt"][0]


def of_type(resources, kind):
    return {name: resource for name, resource in resources.items() if resource["Type"] == kind}


def expect(holds, complaint):
    if not holds:
        sys.exit(f"template.yaml after the SAM translator: {complaint}")


if __name__ == "__main__":
    main()
    print("template.yaml after the SAM translator: every function has its role and its triggers")
