"""The benchmark's other yardstick: create and read with FastAPI and boto3, as one would write them without this product."""

import os
import secrets
import time
import uuid
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from typing import Annotated, Literal

import boto3
from boto3.dynamodb.conditions import Attr
from fastapi import Depends, FastAPI, Header, HTTPException
from mangum import Mangum
from pydantic import BaseModel, Field

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TEN_DAYS = 10 * 24 * 3600
CENT = Decimal("0.01")

dynamodb = boto3.resource("dynamodb")
payments = dynamodb.Table(os.environ["PAYMENTS_TABLE"])
keys = dynamodb.Table(os.environ["KEYS_TABLE"])
app = FastAPI()


class NewPayment(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    amount_usd: Decimal = Field(gt=0)
    description: str | None = Field(default=None, max_length=2000)
    kyc_method: Literal["id_upload", "bankid"] = "id_upload"
    allow_bankid: bool = False
    fee_paid_by: Literal["merchant", "payer"] = "merchant"
    metadata: dict | None = None


def merchant(x_api_key: Annotated[str | None, Header()] = None) -> str:
    if x_api_key:
        found = keys.get_item(Key={"key_hash": sha256(x_api_key.encode()).hexdigest()})
        if "Item" in found:
            return found["Item"]["merchant"]
    raise HTTPException(401, "Invalid or missing API key")


Merchant = Annotated[str, Depends(merchant)]


def iso(seconds) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()


def view(item: dict) -> dict:
    return {
        "id": item["id"],
        "short_code": item["code"],
        "title": item["title"],
        "description": item.get("description"),
        "metadata": item.get("metadata"),
        "amount_usd": float(item["amount"] / 100),
        "fee_usd": float(item["fee"] / 100),
        "fee_paid_by": item["fee_paid_by"],
        "kyc_method": item["kyc_method"],
        "kyc_status": item["kyc_status"],
        "status": item["status"],
        "pay_url": f"https://pay.example/{item['code']}",
        "created_at": iso(item["created_at"]),
        "expires_at": iso(item["created_at"] + TEN_DAYS),
    }


@app.post("/api/v1/payments", status_code=201)
def create_payment(new: NewPayment, owner: Merchant):
    amount = new.amount_usd.quantize(CENT, ROUND_HALF_UP)
    now = int(time.time())
    item = {
        "code": "".join(secrets.choice(BASE58) for _ in range(8)),
        "id": str(uuid.uuid4()),
        "owner": owner,
        "owner_status": f"{owner}#kyc_required",
        "due_hour": datetime.fromtimestamp(now + TEN_DAYS, timezone.utc).strftime("%Y%m%d%H"),
        "next_check": now + TEN_DAYS,
        "status": "kyc_required",
        "title": new.title,
        "description": new.description,
        "metadata": new.metadata,
        "amount": int(amount * 100),
        "fee": int((amount / 100).quantize(CENT, ROUND_HALF_UP) * 100),
        "fee_paid_by": new.fee_paid_by,
        "kyc_method": new.kyc_method,
        "kyc_status": "not_started",
        "created_at": now,
        "updated_at": now,
    }
    payments.put_item(Item=item, ConditionExpression=Attr("code").not_exists())
    return {"success": True, "payment": view(item)}


@app.get("/api/v1/payments/{code}")
def get_payment(code: str, owner: Merchant):
    item = payments.get_item(Key={"code": code}, ConsistentRead=True).get("Item")
    if item is None or item["owner"] != owner:
        raise HTTPException(404, "Payment not found")
    return {"success": True, "payment": view(item)}


handler = Mangum(app, lifespan="off")
