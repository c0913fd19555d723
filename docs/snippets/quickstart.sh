# 1. Create a payment
curl -X POST https://cryptogap.com/api/v1/payments \
  -H "X-API-Key: cgk_your_api_key" \
  -H "Content-Type: application/json" \
  -d '{
    "title": "Order #1234",
    "amount_usd": 49.99,
    "description": "Premium Plan - Monthly"
  }'

# 2. Get the pay_url from the response and redirect your customer to it
# Response: { "payment": { "pay_url": "https://cryptogap.com/pay/abc123", ... } }

# 3. Poll the payment status to confirm payment
curl https://cryptogap.com/api/v1/payments/abc123 \
  -H "X-API-Key: cgk_your_api_key"
