ALTER TABLE "syncline"."passes" ADD COLUMN "from_version" jsonb;--> statement-breakpoint
ALTER TABLE "syncline"."slices" ADD COLUMN "version" jsonb;--> statement-breakpoint
ALTER TABLE "syncline"."streams" ADD COLUMN "version" jsonb;