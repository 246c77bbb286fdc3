"""Prints what SAM makes of template.yaml: the template that CloudFormation gets, as JSON.

    ~/.cache/countersign/sam-*/bin/python infra/sam-lint/translate.py a-build Deployment=Canary10Percent15Minutes

The first argument is part of the place of each function's code, as "sam deploy" would upload it: another word stands for another
build. The others are values of parameters. CloudFormation does the same when it gets the template. The tests in the folder
functions use it.
"""

import json
import sys

import boto3
from samcli.yamlhelper import parse_yaml_file
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

build, parameters = sys.argv[1], dict(given.split("=", 1) for given in sys.argv[2:])
template = parse_yaml_file("template.yaml")
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://uploads/%s/%s" % (build, resource["Properties"]["CodeUri"])
defaults = {name: str(said["Default"]) for name, said in template["Parameters"].items() if "Default" in said}
session = boto3.session.Session(region_name="eu-central-1")
translator = Translator(managed_policy_map={}, sam_parser=Parser(), boto_session=session)
json.dump(translator.translate(template, defaults | parameters), sys.stdout)
