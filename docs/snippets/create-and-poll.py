import requests

API_KEY = "cgk_your_api_key"
BASE_URL = "https://cryptogap.com/api/v1"

headers = {"X-API-Key": API_KEY}

# Create a payment
resp = requests.post(f"{BASE_URL}/payments", headers=headers, json={
    "title": "Order #1234",
    "amount_usd": 49.99,
})
payment = resp.json()["payment"]
print(f"Pay URL: {payment['pay_url']}")

# Check if paid
resp = requests.get(f"{BASE_URL}/payments/{payment['short_code']}", headers=headers)
status = resp.json()["payment"]["status"]
if status in ("paid", "overpaid"):
    print("Payment complete!")
