API_KEY="cgk_your_api_key"
BASE_URL="https://cryptogap.com/api/v1"

# Create a payment
payment=$(curl -s "$BASE_URL/payments" \
  -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"title": "Order #1234", "amount_usd": 49.99}')
pay_url=$(echo "$payment" | grep -o '"pay_url": *"[^"]*' | cut -d'"' -f4)
echo "Pay URL: $pay_url"

# Check if paid
payment=$(curl -s "$BASE_URL/payments/${pay_url##*/}" -H "X-API-Key: $API_KEY")
status=$(echo "$payment" | grep -o '"status": *"[^"]*' | cut -d'"' -f4)
case "$status" in
  paid | overpaid) echo "Payment complete!" ;;
esac
